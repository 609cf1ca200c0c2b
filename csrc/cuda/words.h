// What marks a function that kernels call.
#pragma once

#ifdef __CUDACC__
#define YOLO_DEVICE __device__ __forceinline__
#else
#define YOLO_DEVICE inline
#endif
