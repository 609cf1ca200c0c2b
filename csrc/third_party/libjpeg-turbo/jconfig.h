/* The configuration of libjpeg-turbo 3.1 with libjpeg's 6b ABI, as Pillow's wheels and most systems build it. */
#define JPEG_LIB_VERSION  62
#define LIBJPEG_TURBO_VERSION  3.1.4
#define LIBJPEG_TURBO_VERSION_NUMBER  3001004
#define C_ARITH_CODING_SUPPORTED  1
#define D_ARITH_CODING_SUPPORTED  1
#define MEM_SRCDST_SUPPORTED  1
#define WITH_SIMD  1
#ifndef BITS_IN_JSAMPLE
#define BITS_IN_JSAMPLE  8
#endif
