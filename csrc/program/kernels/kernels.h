// The hot loops that are not oneDNN's, of training and of inference, compiled once for each instruction set.
//
// All work on runs of `count` pixels of one channel block: numbers [count, lanes], float32 or bfloat16 (Format).
// Vectors of parameters and sums hold `lanes` numbers. Arithmetic is float32, sums over pixels go on in float64.
#pragma once

#include <cstddef>
#include <cstdint>

namespace yolo::program {

enum class Function { identity, silu, relu, relu6, leaky_relu, hardswish, sigmoid, mish, gelu, tanh, elu };

// An activation; `value` is the slope of leaky_relu or the alpha of elu.
struct Activation {
    Function function;
    float value;
};

// u = (x - centre) * scale + shift.
struct Affine {
    const float* centre;
    const float* scale;
    const float* shift;
};

// A pool's or an upsampling's geometry: planes of height x width and out_height x out_width pixels.
struct Window {
    int64_t height, width, out_height, out_width;
    int64_t kernel, stride, padding;
};

enum Format { kFloat32 = 0, kBfloat16 = 1, kFormats = 2 };

// How a max pool keeps the places of its maxima: uint8, uint16 where a window has more than 256, or not at all.
enum Index { kBytes = 0, kWords = 1, kNone = 2, kIndices = 3 };

inline Index index_of(int64_t kernel) {
    return kernel * kernel <= 256 ? kBytes : kWords;
}

// Longest run that moments(), grad_sums() and add() take: float32 sums of more lose digits.
constexpr int64_t kMostPixels = 256;

// Numbers of the widest vector.
constexpr int64_t kMostLanes = 16;

// How a 3x3 convolution becomes matrix products: F(4x4, 3x3) (stride 1), or of stride 2 by even and odd inputs apart, in
// tiles of 4 x 4 or 2 x 2 outputs.
enum class WinogradForm { f4, f4_stride2, f2_stride2 };

// A 3x3 convolution of padding 1 of a map of height x width pixels, as matrix products of `rows` x `columns` tiles, one
// for each point. `room`: tiles that scratch has room for; steps: numbers from one point to the next. Channels are whole
// blocks.
struct Winograd {
    int64_t height, width, rows, columns;
    int64_t source_channels, target_channels;
    int64_t room, source_step, target_step;
    WinogradForm form;
};

// Some consecutive tiles, and of what a kernel goes through for each the part from `begin` to `end`.
struct WinogradPart {
    int64_t tile, tiles, begin, end;
};

// A convolution of bytes, of maps whose channels lie together: every output takes `runs` runs of `length` bytes, whole
// eights. Steps: bytes from one run to the next, and from one output to the next in its column and in its row of `width`.
struct ByteConv {
    int64_t width, runs, length;
    int64_t run_step, row_step, column_step;
};

// What becomes of sums: f(sum * scale + shift) + (residual - residual_zero) * residual_step, where there is a
// residual, and then bytes, value * steps + zero, or floats. Strides: numbers from one output to the next, of the residual
// too, and from one vector of channels to the next; those of floats are whole, with zeros where no channel is.
struct ByteFinish {
    const float *scale, *shift;
    Activation activation;
    const uint8_t* residual;
    float residual_step, residual_zero;
    float* floats;
    uint8_t* bytes;
    float steps, zero;
    int64_t stride, block_stride, residual_stride;
};

// A 3x3 convolution of bytes of stride 1 and padding 1, as Winograd has it, between maps whose channels lie together;
// steps: numbers from one of the 36 points to the next. Pairs of vectors of source channels, vectors of target channels.
struct WordWinograd {
    int64_t height, width, rows, columns;
    int64_t source_channels, target_channels;
    int64_t source_step, target_step;
};
// From one point's sums over tiles to the next; they would begin in the same cache sets if this were a power of two.
constexpr int64_t sums_step(const Winograd& w) {
    return w.source_channels * w.target_channels + 16;
}

// A convolution by AMX, of rows of `width` outputs; the next row begins `row` outputs further. Output p's
// products begin `offsets[i]` bytes behind p * stride and take `depth` bytes each, a multiple of 4 up to 64.
struct AmxConv {
    int64_t width, row;
    int64_t products;
    const int64_t* offsets;
    int64_t stride, depth;
};

// What becomes of its sums: f(sum + bias) + residual of one or two channel blocks, of which `channels` are there; `bias`
// and `residual` may be null. Block steps: bytes from one block to the next; floats if `wide`, else bfloat16. Steps: pixels of
// the target, and of the residual, from one output to the next in its row and in its column. `sums`, which may be null: of
// bfloat16 without an activation, the sums of each channel's outputs are added to them, and those of their squares to what
// lies `squares` numbers behind.
struct AmxFinish {
    const float* bias;
    Activation activation;
    const std::byte* residual;
    std::byte* target;
    int64_t residual_block_step, target_block_step, blocks, channels;
    int64_t step, row_step;
    bool wide;
    double* sums;
    int64_t squares;
};

// Gradients of weights by AMX, of one or two blocks of source channels and of target channels, for each tap of the kernel.
// Places: of outputs, in whole 32s. Source: rows of places, one for each channel, `pitch` bytes apart, a block's from
// `source_step` on after another's; a tap's begin at its offset. Target: pairs of places of 16 channels, a block's
// `target_step` bytes after another's. Sums: [tap][source block][target block][16][16], numbers from one tap and one source
// block to the next; they are added to those before, if these are not the first.
struct AmxGradient {
    int64_t places, taps;
    const int64_t* offsets;
    int64_t pitch, source_step, target_step;
    int64_t tap_sums, source_sums;
    int64_t sources, targets;
    bool first;
};

struct Kernels {
    const char* name;
    int64_t lanes;
    // sum += x, squares += x * x.
    void (*moments[kFormats])(const void* x, int64_t count, double* sum, double* squares);
    // out = f(u(x)) + residual (where not null). Runs may be of any length.
    void (*activate[kFormats])(const void* x, const Affine& u, const Activation& f, const void* residual, void* out,
                               int64_t count);
    // out = sum of the sources.
    void (*add[kFormats])(const void* const* sources, int64_t number, float* out, int64_t count);
    // With grad = gradient * f'(u(x)): sum += grad, products += grad * (x - centre). By the formats of x and of the
    // gradient, which is float32 or that of x.
    void (*grad_sums[kFormats][kFormats])(const void* x, const void* gradient, const Affine& u, const Activation& f,
                                 int64_t count, double* sum, double* products);
    // out = grad * scale + (x - centre) * along + level; `out` may be `x`.
    void (*grad[kFormats][kFormats])(const void* x, const void* gradient, const Affine& u, const Activation& f,
                            const float* along, const float* level, void* out, int64_t count);
    // Rounds to the format.
    void (*store[kFormats])(const float* from, void* to, int64_t count);
    // Max pool of a plane; `index` [out pixels, lanes]: which of kernel * kernel places the first maximum has.
    void (*max_pool[kFormats][kIndices])(const void* x, const Window& window, void* out, void* index);
    // Average pool of a plane, padding counted.
    void (*average_pool[kFormats])(const void* x, const Window& window, void* out);
    // Nearest-neighbour upsampling of a plane by `window.stride`.
    void (*upsample[kFormats])(const void* x, const Window& window, void* out);
    // Bilinear upsampling by `window.stride`, corners not aligned: pixel centres lie at (i + 1/2) / stride - 1/2.
    void (*bilinear[kFormats])(const void* x, const Window& window, void* out);
    // Their gradients, from a whole plane of the output's to a whole plane of the input's.
    void (*max_pool_back[kIndices])(const float* gradient, const void* index, const Window& window, float* out);
    void (*average_pool_back)(const float* gradient, const Window& window, float* out);
    void (*upsample_back)(const float* gradient, const Window& window, float* out);
    void (*bilinear_back)(const float* gradient, const Window& window, float* out);
    // out = bytes / divisor; `count` numbers, not pixels.
    void (*pixels[kFormats])(const uint8_t* bytes, int64_t count, float divisor, void* out);
    // The first `channels` channels of a run of pixels as rows of floats, which lie `stride` numbers apart.
    void (*planar[kFormats])(const void* x, int64_t count, int64_t channels, float* out, int64_t stride);
    // The way back; zeros after the last channel.
    void (*blocked[kFormats])(const float* rows, int64_t stride, int64_t channels, int64_t count, void* out);
    // row = softmax(row * scale) of `count` numbers; what is behind them in the last whole vector becomes 0.
    void (*softmax)(float* row, int64_t count, float scale);
    // Its gradient, from that of `weights` = softmax(...) in `grad` to that of the row, in place.
    void (*softmax_back)(const float* weights, float* grad, int64_t count, float scale);
    // The three phases (winograd.h). Points of source channel blocks, from a map's first plane.
    void (*winograd_points)(const float* source, const Winograd& w, const WinogradPart& part, float* points);
    // Sums of pairs of target channel blocks of all points, point after point. `weights`: winograd_weights.h.
    void (*winograd_products)(const float* points, const float* weights, const Winograd& w, const WinogradPart& part,
                              float* sums);
    // Target channel blocks, f(sum + bias) + residual; `bias` and `residual` may be null.
    void (*winograd_finish)(const float* sums, const float* bias, const Winograd& w, const WinogradPart& part,
                            const Activation& f, const float* residual, float* target);
    // The phases of a convolution of bytes (int8.h). Sums of a vector of channels, each from its offset on, of consecutive
    // outputs; `weights`: int8_weights.h.
    void (*byte_sums)(const uint8_t* bytes, const ByteConv& c, int64_t outputs, const int8_t* weights,
                      const int32_t* offsets, int32_t* sums);
    // `channels` of each vector are there.
    void (*byte_finish)(const int32_t* sums, const ByteFinish& f, int64_t outputs, int64_t channels);
    // The phases of Winograd's algorithm for bytes (int8_winograd.h). Points of bytes - zero, of pairs of channel blocks.
    void (*word_points)(const uint8_t* source, int32_t zero, const WordWinograd& w, const WinogradPart& part,
                        int16_t* points);
    // Products for all points of pairs of target channel blocks, pair after pair, whose sums lie together: [pair][36][tile]
    // [2 lanes] from the first pair on. `weights`: int8_weights.h.
    void (*word_products)(const int16_t* points, const int16_t* weights, const WordWinograd& w, const WinogradPart& part,
                          int32_t* sums);
    // Target channel blocks, of whose sums the first pair's are given; 64 times the convolution's are finished.
    void (*word_finish)(const int32_t* sums, const WordWinograd& w, const WinogradPart& part, const ByteFinish& f);
    // `channels` of a channel block's floats into bytes, value * steps + zero, `stride` bytes from one pixel to the next.
    void (*quantise)(const float* x, int64_t count, int64_t channels, float steps, float zero, uint8_t* bytes,
                     int64_t stride);
    // The way back, (byte - zero) * size; zeros after the last channel.
    void (*dequantise)(const uint8_t* bytes, int64_t stride, int64_t count, int64_t channels, float size, float zero,
                       float* x);
    // What training adds (winograd_gradient.h). Weights of pairs of target channel blocks from where `rows` say that each
    // output channel's begin; `turned`: for the gradient of the source, whose channels are the targets then.
    void (*winograd_weights)(const float* values, const int64_t* rows, const Winograd& w, bool turned, int64_t begin,
                             int64_t end, float* to);
    // Points of the outputs' gradients, of target channel blocks.
    void (*winograd_gradient_points)(const float* gradient, const Winograd& w, const WinogradPart& part, float* points);
    // Products over tiles of source channel blocks of all points, added to the sums if not the first.
    void (*winograd_gradient_products)(const float* points, const float* gradients, const Winograd& w,
                                       const WinogradPart& part, bool first, float* sums);
    // Adds what the sums of some source channels make of the weights' gradients.
    void (*winograd_gradient_finish)(const float* sums, const int64_t* rows, const Winograd& w, int64_t begin,
                                     int64_t end, float* gradient);
    // The first and the last phase of the source's gradient where the stride is 2 (winograd_spread.h); `w` as forward but
    // for the channels, which change places.
    void (*winograd_spread_points)(const float* gradient, const Winograd& w, const WinogradPart& part, float* points);
    void (*winograd_spread_finish)(const float* sums, const Winograd& w, const WinogradPart& part, float* target);
    // By AMX (amx.h), null without it. `places`: outputs from the first one on, with those between the rows; `weights`:
    // amx_weights.h.
    void (*amx_conv)(const std::byte* source, const AmxConv& c, int64_t places, const std::byte* weights,
                     const AmxFinish& f);
    // The same of bytes with signed weights: sums from their offsets on, `blocks` vectors of channels, of which `channels`
    // are there. `f`: of the first output and the first block.
    void (*amx_byte_conv)(const std::byte* source, const AmxConv& c, int64_t places, const std::byte* weights,
                          const int32_t* offsets, const ByteFinish& f, int64_t blocks, int64_t channels);
    // Pixels of two channel blocks of bfloat16 side by side; zeros instead of the second one where it is null.
    void (*amx_pairs)(const std::byte* first, const std::byte* second, int64_t pixels, std::byte* to);
    // What training adds (amx_gradient.h).
    void (*amx_gradient)(const std::byte* source, const std::byte* target, const AmxGradient& g, float* sums);
    // Of a row of `width` pixels of a channel block those from column `first` on, `step` apart, as rows of numbers, `pitch`
    // bytes apart, one for each channel; zeros where there is none, or where the row is null. Writes whole 16s.
    void (*amx_turn_row)(const std::byte* row, int64_t width, int64_t first, int64_t step, int64_t count, std::byte* to,
                         int64_t pitch);
    // The same of a row of numbers of one channel, as one row.
    void (*amx_fold_row)(const std::byte* row, int64_t width, int64_t first, int64_t step, int64_t count, std::byte* to);
    // `count` pixels of such a row of a block, `step` apart, zeros behind the first `width` of them, in pairs whose numbers of one
    // channel lie together.
    void (*amx_pair_row)(const std::byte* row, int64_t width, int64_t step, int64_t count, std::byte* to);
};

namespace generic {
extern const Kernels kernels;
}
#ifdef YOLO_X86
namespace avx2 {
extern const Kernels kernels;
}
namespace avx512 {
extern const Kernels kernels;
}
namespace avx512_bf16 {
extern const Kernels kernels;
}
#endif
#ifdef YOLO_AMX
namespace amx {
extern const Kernels kernels;
}
#endif

// Those of this processor, with `lanes` equal to channel_block().
const Kernels& kernels();

}  // namespace yolo::program
