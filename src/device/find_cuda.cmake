# Decides once, with LibTorch, whether CUDA code is compiled (BATON_CUDA = AUTO, ON or OFF) and makes the target
# baton_cudart. Included by the project's own CMakeLists.txt, so that every folder sees the results:
#   BATON_HAVE_CUDA     CUDA code is compiled
#   BATON_HAVE_NCCL     NCCL code is compiled and linked (target baton_nccl)
#   BATON_NCCL_INCLUDE  the folder of nccl.h, perhaps without a library
# CUDA code needs a LibTorch that has CUDA too: else the program would choose a GPU that its model cannot be on. AUTO
# then falls back to the CPU and names what is missing, ON refuses.

set(BATON_NCCL_DIR "" CACHE PATH "A folder with include/nccl.h and lib/libnccl.so.2; empty: the wheel beside LibTorch")

set(BATON_CUDA_TOOLKIT OFF)
if(NOT BATON_CUDA STREQUAL "OFF")
  find_package(CUDAToolkit QUIET)
  if(CUDAToolkit_FOUND AND TARGET CUDA::cudart_static)
    set(BATON_CUDA_TOOLKIT ON)
  endif()
endif()

# The CUDA runtime's wheel beside LibTorch: the very library that LibTorch loads, with its headers. No source here
# needs nvcc, so a machine with a driver and these wheels needs no toolkit.
function(baton_find_cuda_wheel torch_parent)
  file(GLOB folders ${torch_parent}/nvidia/cu[0-9]*)
  foreach(folder ${folders})
    file(GLOB library ${folder}/lib/libcudart.so.[0-9]*)
    if(library AND EXISTS ${folder}/include/cuda_runtime_api.h AND EXISTS ${folder}/include/crt/host_defines.h)
      list(GET library 0 library)
      set(BATON_CUDA_WHEEL ${folder} PARENT_SCOPE)
      set(BATON_CUDA_WHEEL_LIBRARY ${library} PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

# What CUDA code lacks here, in words; empty where it lacks nothing.
function(baton_cuda_problem result)
  set(${result} "" PARENT_SCOPE)
  if(BATON_TORCH AND NOT BATON_TORCH_HAS_CUDA)
    set(${result} "the LibTorch in ${BATON_TORCH_FOUND} has no CUDA; launch/quickstart.sh --gpu fetches one that has, \
or name one in BATON_TORCH_DIR" PARENT_SCOPE)
  elseif(NOT BATON_CUDA_TOOLKIT AND NOT BATON_CUDA_WHEEL)
    set(${result} "no CUDA toolkit and no wheel of the CUDA runtime was found; launch/quickstart.sh --gpu fetches the \
wheel, or set CUDAToolkit_ROOT" PARENT_SCOPE)
  endif()
endfunction()

macro(baton_decide_cuda)
  set(BATON_HAVE_CUDA OFF)
  set(BATON_HAVE_NCCL OFF)
  set(BATON_NCCL_INCLUDE "")
  set(BATON_CUDA_WHEEL "")
  set(torch_parent "")
  if(BATON_CUDA STREQUAL "OFF")
    set(cuda_problem "BATON_CUDA is OFF")
  else()
    if(BATON_TORCH)
      get_filename_component(torch_parent ${BATON_TORCH_FOUND} DIRECTORY)
      baton_find_cuda_wheel(${torch_parent})
    endif()
    baton_cuda_problem(cuda_problem)
    if(NOT cuda_problem)
      set(BATON_HAVE_CUDA ON)
      baton_add_cudart()
      baton_find_nccl("${torch_parent}")
    elseif(BATON_CUDA STREQUAL "ON")
      message(FATAL_ERROR "BATON_CUDA=ON, but ${cuda_problem}.\nBATON_CUDA=OFF (the preset cpu) builds for the CPU.")
    endif()
  endif()
  baton_say_cuda()
endmacro()

function(baton_add_cudart)
  add_library(baton_cudart INTERFACE)
  if(BATON_CUDA_WHEEL)
    add_library(baton_cudart_wheel SHARED IMPORTED GLOBAL)
    set_target_properties(baton_cudart_wheel PROPERTIES
      IMPORTED_LOCATION ${BATON_CUDA_WHEEL_LIBRARY}
      INTERFACE_INCLUDE_DIRECTORIES ${BATON_CUDA_WHEEL}/include)
    target_link_libraries(baton_cudart INTERFACE baton_cudart_wheel)
  else()
    # The static runtime: the toolkit's library folder must not enter a run path, for its NCCL would then be found
    # before the one that LibTorch uses.
    target_link_libraries(baton_cudart INTERFACE CUDA::cudart_static)
  endif()
endfunction()

function(baton_find_nccl torch_parent)
  file(GLOB wheels ${torch_parent}/nvidia/nccl ${BATON_DEPS}/venv/lib/python3*/site-packages/nvidia/nccl)
  foreach(folder ${BATON_NCCL_DIR} ${wheels})
    if(EXISTS ${folder}/include/nccl.h AND EXISTS ${folder}/lib/libnccl.so.2)
      set(BATON_HAVE_NCCL ON PARENT_SCOPE)
      set(BATON_NCCL_INCLUDE ${folder}/include PARENT_SCOPE)
      add_library(baton_nccl SHARED IMPORTED GLOBAL)
      set_target_properties(baton_nccl PROPERTIES
        IMPORTED_LOCATION ${folder}/lib/libnccl.so.2
        INTERFACE_INCLUDE_DIRECTORIES ${folder}/include)
      return()
    endif()
  endforeach()
  find_path(BATON_NCCL_HEADER nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
  if(BATON_NCCL_HEADER)
    set(BATON_NCCL_INCLUDE ${BATON_NCCL_HEADER} PARENT_SCOPE)
  endif()
endfunction()

function(baton_say_cuda)
  if(NOT BATON_HAVE_CUDA)
    message(STATUS "CUDA: not compiled in, the program computes on the CPU: ${cuda_problem}")
    return()
  endif()
  set(runtime "the toolkit's runtime")
  if(BATON_CUDA_WHEEL)
    set(runtime "the runtime beside LibTorch")
  endif()
  if(BATON_HAVE_NCCL)
    message(STATUS "CUDA: compiled in with ${runtime}; NCCL: compiled in (${BATON_NCCL_INCLUDE})")
  else()
    message(STATUS "CUDA: compiled in with ${runtime}; NCCL: no library found (set BATON_NCCL_DIR), "
      "groups of several GPUs sum over MPI")
  endif()
endfunction()
