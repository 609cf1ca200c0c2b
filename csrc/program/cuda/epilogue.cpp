#include "program/cuda/epilogue.h"

#include "program/cuda/norm.h"

namespace yolo::program::cuda {

void epilogue(const Map& target, const float* bias, const std::string& activation, float value, const Map* residual,
              Stream stream) {
    const Activation known = activation.empty() ? Activation() : activation_of(activation, value);
    activate(target, {nullptr, nullptr, bias}, known, residual, {target}, stream);
}

}  // namespace yolo::program::cuda
