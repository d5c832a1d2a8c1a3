#pragma once
// A remedy for MKL's vector math (VML), which LibTorch calls for exp, sin, cos and others on the
// CPU.

namespace baton::model {

/// To be called before the first such function of the process. When several threads make VML's
/// first call of a function at once, some of them may get kernels of lower accuracy for that call
/// (seen: half of the values of an exp off by 1.5e-4 of their size, in one of forty processes of
/// two threads on a busy machine): a first update that is not the same twice. This makes each first
/// call from one thread; it does so once and costs microseconds.
void settle_vector_math();

}  // namespace baton::model
