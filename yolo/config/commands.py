"""The options of each command: YOLOv5's names and defaults."""

from __future__ import annotations

import dataclasses

from yolo.config.options import option
from yolo.config.values import COMPILE_MODES, IMAGE_SIZE, MOST_LINE_WIDTH, MOST_OVERLAP, OVERLAP

IMGSZ = ("--img", "--img-size")
MOST_THREADS = 1000
COMPILE = "program: the network compiled ahead of time; off: plain OneFlow operators"
WEIGHTS = "a .pt or .safetensors file, or a published one's name (yolov5s), fetched into weights/ when it is not there"
FORMATS = ("argoverse", "coco", "globalwheat", "objects365", "sku110k", "visdrone", "voc", "xview")
EXPORT_FORMATS = ("program", "onnx", "openvino", "pt")
TRACKERS = ("wandb", "mlflow", "clearml", "comet")
AUGMENT = "test-time augmentation (TTA): three passes, scaled and mirrored"
EXTRAS = "blur, median blur, grey and CLAHE, 1 % each, through the library albumentations if it is installed"
CACHE = "keep decoded images: ram, one copy for all processes of the machine, or disk, as .npy files"
LOADERS = ("native", "opencv", "dali")
LOADER = "what makes the batches' pixels; dali needs the extra dali; what one cannot make, native or opencv does"
PROFILE = "write a Chrome trace for each process into profile/: so many steps of an epoch; 0: none"
HALF = "float16 inference on a GPU, bfloat16 on a processor that has it"
INT8 = "8-bit inference, calibrated on images of --data; prints what it costs"
RECOMPUTE = "activation checkpointing, less memory for some time; auto: on a processor, where that is little"
EXACT = "direct convolutions on a processor instead of Winograd's: slower, float32 sums as they are defined"
SLICE = "look at larger images in slices of so many pixels a side too, for small objects; 0: not"
SLICES_OVERLAP = "with --slice: the share of a slice that the next one shows too; what is larger is seen cut"


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Train a detector on a data set."""

    weights: str = option("yolov5s.pt", f"initial weights: {WEIGHTS}; '' to start from --cfg alone")
    cfg: str = option("", "model YAML, or the name of one that comes with the project (yolov5n)")
    data: str = option("coco128.yaml", "data set YAML")
    hyp: str = option("hyp.scratch-low.yaml", "hyperparameter YAML, or a preset's name")
    epochs: int = option(100, "number of epochs", low=1)
    time: float = option(0.0, "hours to train, instead of --epochs; 0 for no limit", low=0, high=1e6)
    batch_size: int = option(16, "images a step; -1: as many as memory holds", aliases=("--batch",), low=1, auto=-1)
    imgsz: int = option(IMAGE_SIZE, "image size in pixels, training and validation", aliases=IMGSZ, low=1)
    rect: bool = option(False, "rectangular batches: images of similar aspect together, no mosaic")
    resume: str = option("", "go on with a stopped run: its folder or last.safetensors", bare="newest")
    quad: bool = option(False, "batches of a quarter of the images, each four images or one, at twice the size")
    multi_scale: bool = option(False, "vary the image size by batch, from half to one and a half of --imgsz")
    cache: str = option("", CACHE, choices=("ram", "disk"), bare="ram")
    image_weights: bool = option(False, "sample images by class weights: rare and badly detected classes more often")
    albumentations: bool = option(False, EXTRAS)
    nosave: bool = option(False, "save only the final checkpoint")
    noval: bool = option(False, "validate only after the last epoch")
    noautoanchor: bool = option(False, "no autoanchor: keep the anchors, however badly they fit the data")
    evolve: int = option(0, "evolve hyperparameters for this many generations; 0: train once", bare=300, low=0)
    parallel: int = option(1, "with --evolve: trainings side by side", low=1)
    noplots: bool = option(False, "no plots")
    device: str = option(
        "", "cpu, a CUDA index such as 0, or of several processes one each (0,1); '' takes a GPU when there is one"
    )
    single_cls: bool = option(False, "treat all classes as one")
    fraction: float = option(1.0, "fraction of the training set to use, evenly spaced", low=0, high=1)
    optimizer: str = option("SGD", "the optimizer", choices=("SGD", "Adam", "AdamW"))
    workers: int = option(8, "data loader threads (at most one a core is used)", low=0)
    loader: str = option("native", LOADER, choices=LOADERS)
    project: str = option("runs/train", "folder for results: PROJECT/NAME")
    name: str = option("exp", "name of this run; a number is added when it is taken")
    exist_ok: bool = option(False, "write into PROJECT/NAME even if it exists")
    cos_lr: bool = option(False, "cosine learning rate instead of a linear one")
    label_smoothing: float = option(0.0, "label smoothing epsilon", low=0, high=1)
    patience: int = option(100, "early stopping: epochs without improvement; 0: never", low=0)
    freeze: tuple = option((0,), "freeze layers: the first N, or a list of numbers", many=int, low=0)
    close_mosaic: int = option(0, "no mosaic, mixup and copy-paste in the last N epochs", low=0)
    save_period: int = option(-1, "keep a checkpoint every so many epochs (5: epoch5, epoch10, …); -1 keeps none")
    seed: int = option(0, "seed of everything random", low=0)
    sync_bn: bool = option(False, "SyncBatchNorm, statistics over all processes; refused with only one")
    local_rank: int = option(-1, "local rank, as launchers give it; -1 or 0 for a single process", low=-1)
    log_ranks: tuple = option((), "ranks that log besides the first", many=int, low=0)
    compile: str = option("program", COMPILE, choices=COMPILE_MODES)
    amp: bool = option(False, "mixed precision in training: float16 on a GPU, bfloat16 on a processor that has it")
    recompute: str = option("auto", RECOMPUTE, choices=("auto", "on", "off"), bare="on")
    exact: bool = option(False, EXACT)
    nbs: int = option(64, "nominal batch size, to which gradients are accumulated", low=1)
    bucket: str = option("", "copy the results to this fsspec URL (gs://…, s3://…, file://…) or Google bucket")
    loggers: tuple = option((), "experiment trackers, beside CSV and TensorBoard", many=str, choices=TRACKERS)
    online: bool = option(False, "trackers talk to their servers; without it they record on this machine")
    entity: str = option("", "W&B: the team or user that the run belongs to")
    upload_dataset: str = option("", "W&B: make the data set an artifact", choices=("all", "train", "val"), bare="all")
    bbox_interval: int = option(-1, "W&B: epochs between images with boxes; -1: a tenth of the run, 0: none", low=-1)
    artifact_alias: str = option("latest", "W&B: version of the data set's artifact, uploaded or used")
    profile: int = option(0, PROFILE, bare=100, low=0)
    json: bool = option(False, "print one JSON object with the results on stdout")


@dataclasses.dataclass(frozen=True)
class ValConfig:
    """Measure a detector on a data set."""

    data: str = option("coco128.yaml", "data set YAML")
    weights: tuple = option(
        ("yolov5s.pt",),
        f"weights to measure: {WEIGHTS}; or a compiled detector, .program; several are an ensemble",
        many=str,
    )
    batch_size: int = option(32, "images a batch", aliases=("--batch",), low=1)
    imgsz: int = option(IMAGE_SIZE, "image size in pixels", aliases=IMGSZ, low=1)
    conf_thres: float = option(0.001, "keep detections above this confidence", low=0, high=1)
    iou_thres: float = option(0.6, "IoU threshold of NMS", low=0, high=1)
    max_det: int = option(300, "most detections an image", low=1)
    task: str = option(
        "val",
        "which part of the data set; speed: time at conf 0.25 and IoU 0.45; study: speed and accuracy over many sizes",
        choices=("train", "val", "test", "speed", "study"),
    )
    study_sizes: tuple = option(
        tuple(range(256, 1536 + 128, 128)), "image sizes of the study, in pixels", many=int, low=1
    )
    device: str = option("", "cpu, a CUDA index such as 0, or of several processes one each (0,1)")
    workers: int = option(8, "data loader threads (at most one a core is used)", low=0)
    loader: str = option("native", LOADER, choices=LOADERS)
    single_cls: bool = option(False, "treat all classes as one")
    augment: bool = option(False, AUGMENT)
    slice: int = option(0, SLICE, low=0)
    overlap: float = option(OVERLAP, SLICES_OVERLAP, low=0, high=MOST_OVERLAP)
    verbose: bool = option(False, "print a line for every class")
    save_txt: bool = option(False, "write detections as label files")
    save_hybrid: bool = option(False, "write labels and detections together as label files; labels count as found")
    save_conf: bool = option(False, "add the confidence to label files")
    half: bool = option(False, HALF)
    int8: bool = option(False, INT8)
    compile: str = option("program", COMPILE, choices=COMPILE_MODES)
    exact: bool = option(False, EXACT)
    save_json: bool = option(False, "write COCO JSON and evaluate it by COCO's own rule")
    project: str = option("runs/val", "folder for results: PROJECT/NAME")
    name: str = option("exp", "name of this run; a number is added when it is taken")
    exist_ok: bool = option(False, "write into PROJECT/NAME even if it exists")
    noplots: bool = option(False, "no plots")
    json: bool = option(False, "print one JSON object with the results on stdout")


@dataclasses.dataclass(frozen=True)
class DetectConfig:
    """Find objects in images and videos."""

    weights: tuple = option(
        ("yolov5s.pt",), f"weights: {WEIGHTS}; or a compiled detector, .program; several are an ensemble", many=str
    )
    source: str = option(
        "",
        "image, video, folder, glob, .txt list of these; camera number, stream URL, .streams list; screen "
        "(default: data/images where it is, else two demo images)",
    )
    data: str = option("", "data set YAML for class names (default: the names in the weights) and for --int8")
    imgsz: tuple = option((IMAGE_SIZE,), "image size: one number, or height and width", aliases=IMGSZ, many=int, low=1)
    conf_thres: float = option(0.25, "keep detections above this confidence", low=0, high=1)
    iou_thres: float = option(0.45, "IoU threshold of NMS", low=0, high=1)
    max_det: int = option(1000, "most detections an image", low=1)
    device: str = option("", "cpu, or a CUDA index such as 0")
    view_img: bool = option(False, "show the results in windows")
    save_txt: bool = option(False, "write detections as label files")
    save_csv: bool = option(False, "write all detections into predictions.csv")
    save_conf: bool = option(False, "add the confidence to label files")
    save_crop: bool = option(False, "write each detected object as an image")
    nosave: bool = option(False, "write no annotated images and videos")
    classes: tuple = option((), "keep these class numbers only", many=int, low=0)
    agnostic_nms: bool = option(False, "suppress overlaps between classes too")
    augment: bool = option(False, AUGMENT)
    slice: int = option(0, SLICE, low=0)
    overlap: float = option(OVERLAP, SLICES_OVERLAP, low=0, high=MOST_OVERLAP)
    visualize: bool = option(False, "write every layer's feature maps as images and arrays")
    update: bool = option(False, "take the training state out of the weights files first")
    line_thickness: int = option(3, "width of drawn lines in pixels", low=1, high=MOST_LINE_WIDTH)
    hide_labels: bool = option(False, "draw no class names")
    hide_conf: bool = option(False, "draw no confidences")
    half: bool = option(False, HALF)
    int8: bool = option(False, INT8)
    compile: str = option("program", COMPILE, choices=COMPILE_MODES)
    exact: bool = option(False, f"{EXACT}; large JPEG files are decoded whole")
    vid_stride: int = option(1, "take every n-th frame of a video or stream", low=1)
    project: str = option("runs/detect", "folder for results: PROJECT/NAME")
    name: str = option("exp", "name of this run; a number is added when it is taken")
    exist_ok: bool = option(False, "write into PROJECT/NAME even if it exists")
    json: bool = option(False, "print one JSON object with the results on stdout")


@dataclasses.dataclass(frozen=True)
class TrackConfig(DetectConfig):
    """Follow objects through videos and streams: ids that stay, annotated videos, tracks as MOT text.

    The images of a folder are the frames of one film. All options of yolo.detect, and those of ByteTrack at the end.
    """

    conf_thres: float = option(
        0.25, "look for objects above this confidence", aliases=("--track-thresh",), low=0, high=1
    )
    project: str = option("runs/track", "folder for results: PROJECT/NAME")
    low_thresh: float = option(0.1, "boxes above this confidence continue tracks that found no better", low=0, high=1)
    new_thresh: float = option(0.25, "a box above this confidence that no track explains begins one", low=0, high=1)
    match_thresh: float = option(0.8, "largest cost of a match, 1 - IoU: 0.8 asks for an IoU of 0.2", low=0, high=1)
    track_buffer: int = option(30, "frames, at 30 a second, through which a lost track is looked for", low=0)


@dataclasses.dataclass(frozen=True)
class ExportConfig:
    """Write weights as files that other programs run."""

    weights: str = option("yolov5s.pt", f"weights: {WEIGHTS}; files are written beside them")
    include: tuple = option(
        ("program",),
        "what to write: program (the compiled detector), onnx, openvino, pt (a state dict for PyTorch); several, with "
        "spaces or commas between",
        many=str,
    )
    data: str = option("", "data set YAML: --int8 is calibrated on it, and mAP is compared on its val split")
    imgsz: tuple = option(
        (IMAGE_SIZE,), "image size in pixels: one number, or height and width", aliases=IMGSZ, many=int, low=1
    )
    half: bool = option(False, "bfloat16 inference, on a processor that has it; program only")
    int8: bool = option(False, f"{INT8}; program only")
    batch_size: int = option(1, "images a call of an onnx or openvino file", aliases=("--batch",), low=1)
    dynamic: bool = option(False, "onnx, openvino: batch, height and width of the images are free")
    opset: int = option(17, "onnx: opset", low=13, high=17)
    heads: bool = option(False, "onnx, openvino: raw heads come out, instead of predictions in pixels")
    nms: bool = option(False, "onnx, openvino: non-maximum suppression is inside and detections come out")
    agnostic_nms: bool = option(False, "with --nms: suppress overlaps between classes too")
    conf_thres: float = option(0.25, "confidence threshold of --nms, and of the verification", low=0, high=1)
    iou_thres: float = option(0.45, "IoU threshold of --nms, and of the verification", low=0, high=1)
    max_det: int = option(1000, "with --nms: most detections an image", low=1)
    dump: bool = option(False, "print the program before and after each pass, and its plan, on stdout")
    json: bool = option(False, "print one JSON object with the results on stdout")


@dataclasses.dataclass(frozen=True)
class ConvertConfig:
    """Turn a data set in another format into images with YOLO labels and a data set YAML."""

    format: str = option("coco", "the format that the data is in", choices=FORMATS)
    source: str = option("", "folder with the annotations and the images, anywhere below it")
    output: str = option("", "new folder for the images (hard links where possible), labels and data.yaml")
    names: tuple = option((), "class names in order (default: as the format or the data has them)", many=str)
    segments: bool = option(False, "keep outlines as labels where the format has them (coco, objects365)")
    json: bool = option(False, "print one JSON object with the results on stdout")


@dataclasses.dataclass(frozen=True)
class CheckConfig:
    """Look a data set over: exit code 0 when clean, 1 when not, 2 when it cannot be trained on."""

    data: str = option("coco128.yaml", "data set YAML")
    imgsz: int = option(IMAGE_SIZE, "image size in pixels that boxes are judged at", aliases=IMGSZ, low=1)
    fix: str = option("", "new folder for a corrected copy (images are hard links where possible)")
    workers: int = option(8, "threads that read files", low=1, high=MOST_THREADS)
    weights: tuple = option(
        (),
        f"label audit: weights whose detections the labels are compared with: {WEIGHTS}; or a compiled detector, "
        ".program; several are an ensemble",
        many=str,
    )
    task: str = option("", "label audit of this part alone (default: all)", choices=("train", "val", "test"))
    worst: int = option(100, "label audit: so many images in the page, the worst first", low=1)
    conf_thres: float = option(0.25, "label audit: detections from this confidence on contradict labels", low=0, high=1)
    iou_thres: float = option(0.6, "label audit: IoU threshold of NMS", low=0, high=1)
    max_det: int = option(300, "label audit: most detections an image", low=1)
    device: str = option("", "label audit: cpu, or a CUDA index such as 0")
    augment: bool = option(False, f"label audit: {AUGMENT}")
    half: bool = option(False, f"label audit: {HALF}")
    int8: bool = option(False, "label audit: 8-bit inference, calibrated on images of --data")
    compile: str = option("program", COMPILE, choices=COMPILE_MODES)
    exact: bool = option(False, f"label audit: {EXACT}")
    project: str = option("runs/check", "folder for the label audit's results: PROJECT/NAME")
    name: str = option("exp", "name of this run; a number is added when it is taken")
    exist_ok: bool = option(False, "write into PROJECT/NAME even if it exists")
    json: bool = option(False, "print one JSON object with the results on stdout")


@dataclasses.dataclass(frozen=True)
class ServeConfig:
    """Answer requests over HTTP: POST /v1/detect, /healthz, /metrics, and a page at /."""

    weights: tuple = option(
        ("yolov5s.pt",), f"weights: {WEIGHTS}; or a compiled detector, .program; several are an ensemble", many=str
    )
    data: str = option("", "data set YAML for class names (default: the names in the weights) and for --int8")
    imgsz: tuple = option((IMAGE_SIZE,), "image size: one number, or height and width", aliases=IMGSZ, many=int, low=1)
    conf_thres: float = option(0.25, "keep detections above this confidence; a request may ask for more", low=0, high=1)
    iou_thres: float = option(0.45, "IoU threshold of NMS", low=0, high=1)
    max_det: int = option(1000, "most detections an image; a request may ask for fewer", low=1)
    device: str = option("", "cpu, or a CUDA index such as 0")
    classes: tuple = option((), "keep these class numbers only; a request may ask for some of them", many=int, low=0)
    agnostic_nms: bool = option(False, "suppress overlaps between classes too")
    augment: bool = option(False, AUGMENT)
    slice: int = option(0, SLICE, low=0)
    overlap: float = option(OVERLAP, SLICES_OVERLAP, low=0, high=MOST_OVERLAP)
    half: bool = option(False, HALF)
    int8: bool = option(False, INT8)
    compile: str = option("program", COMPILE, choices=COMPILE_MODES)
    exact: bool = option(False, f"{EXACT}; large JPEG files are decoded whole")
    host: str = option("127.0.0.1", "address to listen on; 0.0.0.0 or :: lets everybody in who reaches this machine")
    port: int = option(8000, "port to listen on; 0 takes a free one", low=0, high=65535)
    allowed_hosts: tuple = option(
        (), "other names by which the server may be asked (default: this machine's own on loopback, else any)", many=str
    )
    max_batch: int = option(8, "most images that go through the network together; 1, 2, 4, 8, … do", low=1, high=64)
    max_delay_ms: float = option(
        5.0, "milliseconds that an image may wait for others of its batch; alone it never waits", low=0, high=10000
    )
    max_queue: int = option(64, "requests accepted and not answered yet; more are told to come again (429)", low=1)
    max_megabytes: float = option(16.0, "largest body of a request (413)", low=0.001, high=4096)
    max_megapixels: float = option(50.0, "largest image, by what its head says (413)", low=0.001, high=1000)
    receive_seconds: float = option(30.0, "seconds in which a request must have come in (408)", low=0.1, high=3600)
    json: bool = option(False, "print one JSON object with what was answered on stdout, at the end")
