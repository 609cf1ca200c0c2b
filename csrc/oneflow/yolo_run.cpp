// The operator yolo_run: a yolo::program::Runnable as one operator of OneFlow, on the CPU.
//
// Inputs:  runnable int64 [1], the Runnable's address in this process; in: any tensors, the last `mutable_inputs` of
//          them are written.
// Outputs: out, of the attributes' shapes and dtypes.
// sbp:     a letter for each of in and out: B every rank has the whole tensor, S a part of it by dimension 0, P a
//          summand of it. The shapes are those of the whole.
//
// The address is a tensor and no attribute because a graph keeps the tensors that it captured for as long as it may
// run, which keeps the Runnable alive with it (yolo/program/operator.py), and because OneFlow plans a graph on one rank
// for all of them: an attribute would carry that rank's address to the others.

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "oneflow/core/framework/framework.h"
#include "program/common/runnable.h"

// Inside OneFlow's namespace because its checking macros name things without it.
namespace oneflow {
namespace {

using yolo::program::Runnable;

int64_t first_mutable(const user_op::UserOpConfWrapper& operation) {
    return operation.input_size("in") - operation.attr<int64_t>("mutable_inputs");
}

Maybe<void> infer_shapes(user_op::InferContext* context) {
    const auto& shapes = context->Attr<std::vector<Shape>>("shapes");
    for (size_t i = 0; i < shapes.size(); ++i) context->SetOutputShape("out", i, shapes[i]);
    return Maybe<void>::Ok();
}

// What one rank has of the outputs. All ranks' parts are equal, for the Runnable is made for one shape.
Maybe<void> infer_shapes_of_a_rank(user_op::InferContext* context) {
    const auto& shapes = context->Attr<std::vector<Shape>>("shapes");
    const auto& sbp = context->Attr<std::string>("sbp");
    for (size_t i = 0; i < shapes.size(); ++i) {
        Shape shape = shapes[i];
        if (sbp[context->input_size("in") + i] == 'S') {
            CHECK_GE_OR_RETURN(shape.NumAxes(), 1) << "yolo_run: a part of a number";
            CHECK_EQ_OR_RETURN(shape.At(0) % context->parallel_num(), 0) << "yolo_run: unequal parts of an output";
            shape.Set(0, shape.At(0) / context->parallel_num());
        }
        context->SetOutputShape("out", i, shape);
    }
    return Maybe<void>::Ok();
}

Maybe<void> infer_dtypes(user_op::InferContext* context) {
    const auto& dtypes = context->Attr<std::vector<DataType>>("dtypes");
    for (size_t i = 0; i < dtypes.size(); ++i) context->SetOutputDType("out", i, dtypes[i]);
    return Maybe<void>::Ok();
}

// OneFlow then lets the graph's other readers of a mutable input go first, and allows one writer a tensor and graph.
Maybe<void> mark_mutable(const user_op::GetInputArgModifier& argument, const user_op::UserOpConfWrapper& operation) {
    for (int64_t i = first_mutable(operation); i < operation.input_size("in"); ++i) {
        user_op::InputArgModifier* modifier = argument("in", i);
        CHECK_NOTNULL_OR_RETURN(modifier);
        modifier->set_is_mutable(true);
        modifier->set_requires_grad(false);
    }
    return Maybe<void>::Ok();
}

void add_sbp(user_op::UserOpSbpSignatureBuilder& builder, const user_op::OpArg& argument, char letter) {
    if (letter == 'S') {
        builder.Split(argument, 0);
    } else if (letter == 'P') {
        builder.PartialSum(argument);
    } else {
        builder.Broadcast(argument);
    }
}

// One signature: a Runnable cannot do another rank's share instead of its own. Every rank has an address of its own.
Maybe<void> list_sbp_signatures(user_op::SbpContext* context) {
    const auto& operation = context->user_op_conf();
    const auto sbp = context->Attr<std::string>("sbp");
    const int64_t inputs = operation.input_size("in"), outputs = operation.output_size("out");
    auto builder = context->NewBuilder();
    builder.Split(user_op::OpArg("runnable", 0), 0);
    for (int64_t i = 0; i < inputs; ++i) add_sbp(builder, user_op::OpArg("in", i), sbp[i]);
    for (int64_t i = 0; i < outputs; ++i) add_sbp(builder, user_op::OpArg("out", i), sbp[inputs + i]);
    builder.Build();
    return Maybe<void>::Ok();
}

// Looks once, so that the functions above may index.
Maybe<void> check_attributes(const user_op::UserOpDefWrapper&, const user_op::UserOpConfWrapper& operation) {
    const int64_t inputs = operation.input_size("in"), outputs = operation.output_size("out");
    CHECK_EQ_OR_RETURN(operation.attr<std::string>("sbp").size(), inputs + outputs);
    CHECK_EQ_OR_RETURN(operation.attr<std::vector<Shape>>("shapes").size(), outputs);
    CHECK_EQ_OR_RETURN(operation.attr<std::vector<DataType>>("dtypes").size(), outputs);
    CHECK_LE_OR_RETURN(operation.attr<int64_t>("mutable_inputs"), inputs);
    return Maybe<void>::Ok();
}

[[noreturn]] void end_process(const char* what) {
    std::fprintf(stderr, "yolo: a compiled program failed inside OneFlow, so this process ends: %s\n", what);
    std::abort();
}

// OneFlow 0.9.0 has no way to report a kernel's failure to Python: an exception that leaves a kernel ends the process
// from the runtime's thread. Going on instead would hand wrong numbers to the operators that follow.
void run_or_end(Runnable* runnable, const std::vector<const void*>& inputs, const std::vector<void*>& outputs) {
    try {
        runnable->run(inputs.data(), outputs.data());
    } catch (const std::exception& error) {
        end_process(error.what());
    } catch (...) {
        end_process("an exception of unknown type");
    }
}

class RunKernel final : public user_op::OpKernel {
public:
    // A Runnable may write its mutable inputs whatever the outputs' sizes are.
    bool AlwaysComputeWhenAllOutputsEmpty() const override { return true; }

private:
    using user_op::OpKernel::Compute;

    void Compute(user_op::KernelComputeContext* context) const override {
        std::vector<const void*> inputs(context->input_size("in"));
        std::vector<void*> outputs(context->output_size("out"));
        for (size_t i = 0; i < inputs.size(); ++i) inputs[i] = context->Tensor4ArgNameAndIndex("in", i)->raw_dptr();
        for (size_t i = 0; i < outputs.size(); ++i) {
            outputs[i] = context->Tensor4ArgNameAndIndex("out", i)->mut_raw_dptr();
        }
        const int64_t address = *context->Tensor4ArgNameAndIndex("runnable", 0)->dptr<int64_t>();
        run_or_end(reinterpret_cast<Runnable*>(address), inputs, outputs);
    }
};

REGISTER_USER_OP("yolo_run")
    .Input("runnable")
    .OptionalInput("in")
    .OptionalOutput("out")
    .Attr<std::vector<Shape>>("shapes", {})
    .Attr<std::vector<DataType>>("dtypes", {})
    .Attr<int64_t>("mutable_inputs", 0)
    .Attr<std::string>("sbp", "")
    .NoGrad()
    .SetCheckAttrFn(check_attributes)
    .SetLogicalTensorDescInferFn(infer_shapes)
    .SetPhysicalTensorDescInferFn(infer_shapes_of_a_rank)
    .SetDataTypeInferFn(infer_dtypes)
    .SetInputArgModifyFn(mark_mutable)
    .SetGetSbpFn(list_sbp_signatures);

REGISTER_USER_KERNEL("yolo_run")
    .SetCreateFn<RunKernel>()
    .SetIsMatchedHob(user_op::HobDeviceType() == DeviceType::kCPU);

}  // namespace
}  // namespace oneflow
