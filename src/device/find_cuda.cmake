# Decides once whether CUDA code is compiled (BATON_CUDA = AUTO, ON or OFF) and makes the target baton_cudart.
# Included by the project's own CMakeLists.txt, so that every folder sees the results:
#   BATON_HAVE_CUDA     CUDA code is compiled
#   BATON_HAVE_NCCL     NCCL code is compiled and linked (target baton_nccl)
#   BATON_NCCL_INCLUDE  the folder of nccl.h, perhaps without a library

set(BATON_NCCL_DIR "" CACHE PATH "A folder with include/nccl.h and lib/libnccl.so.2; empty: the wheel in the dependency folder")
set(BATON_HAVE_CUDA OFF)
set(BATON_HAVE_NCCL OFF)
set(BATON_NCCL_INCLUDE "")

if(NOT BATON_CUDA STREQUAL "OFF")
  find_package(CUDAToolkit QUIET)
  if(CUDAToolkit_FOUND AND TARGET CUDA::cudart_static)
    set(BATON_HAVE_CUDA ON)
    # The static runtime: the toolkit's library folder must not enter a run path, for its NCCL would then be
    # found before the one that LibTorch uses.
    add_library(baton_cudart INTERFACE)
    target_link_libraries(baton_cudart INTERFACE CUDA::cudart_static)
  elseif(BATON_CUDA STREQUAL "ON")
    message(FATAL_ERROR "BATON_CUDA=ON, but no CUDA toolkit was found; set CUDAToolkit_ROOT or use BATON_CUDA=OFF")
  endif()
endif()

if(BATON_HAVE_CUDA)
  file(GLOB nccl_folders ${BATON_DEPS}/venv/lib/python3*/site-packages/nvidia/nccl)
  foreach(folder ${BATON_NCCL_DIR} ${nccl_folders})
    if(NOT BATON_HAVE_NCCL AND EXISTS ${folder}/include/nccl.h AND EXISTS ${folder}/lib/libnccl.so.2)
      set(BATON_HAVE_NCCL ON)
      set(BATON_NCCL_INCLUDE ${folder}/include)
      add_library(baton_nccl SHARED IMPORTED GLOBAL)
      set_target_properties(baton_nccl PROPERTIES
        IMPORTED_LOCATION ${folder}/lib/libnccl.so.2
        INTERFACE_INCLUDE_DIRECTORIES ${folder}/include)
    endif()
  endforeach()
  if(NOT BATON_HAVE_NCCL)
    find_path(BATON_NCCL_HEADER nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
    if(BATON_NCCL_HEADER)
      set(BATON_NCCL_INCLUDE ${BATON_NCCL_HEADER})
    endif()
  endif()
endif()

if(BATON_HAVE_NCCL)
  message(STATUS "CUDA: compiled in; NCCL: compiled in (${BATON_NCCL_INCLUDE})")
elseif(BATON_HAVE_CUDA)
  message(STATUS "CUDA: compiled in; NCCL: no library found (set BATON_NCCL_DIR), the backend answers \"not compiled in\"")
else()
  message(STATUS "CUDA: not compiled in")
endif()
