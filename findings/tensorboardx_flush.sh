#!/bin/sh
# tensorboardX's SummaryWriter.flush() returns before what was added is in the file, though it says that it makes sure.
#
# Seen with tensorboardX 2.6.5, CPython 3.10 and 3.11. Events go through a multiprocessing.Queue to a thread that writes
# them; flush() flushes the file of what that thread has written so far, and does not wait for the queue. In 50 rounds of
# "add 13 scalars, flush, read the file" the last ones were missing in most (2 cores: 50 of 50). close() does wait.
#
# So a checkpoint that is saved behind flush() may know of an epoch whose numbers a kill then takes away. A file that is
# written by tensorboardX.event_file_writer.EventsWriter, without the queue, has them. Fails when every round is whole,
# or when EventsWriter's file is not.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorboardX==2.6.5 protobuf==6.33.0 numpy==1.26.4
"$folder/venv/bin/python" - "$folder" <<'P'
import struct
import sys
from pathlib import Path

import tensorboardX
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.summary import scalar

ROUNDS, SCALARS = 50, 13


def scalars(folder: Path) -> int:
    """Whole records with a summary."""
    (file,), at, count = folder.glob("events.*"), 0, 0
    content = file.read_bytes()
    while at + 12 <= len(content):
        (size,) = struct.unpack_from("<Q", content, at)
        if at + 16 + size > len(content):
            break
        count += len(Event.FromString(content[at + 12 : at + 12 + size]).summary.value)
        at += 16 + size
    return count


root, missing = Path(sys.argv[1]), {"SummaryWriter": 0, "EventsWriter": 0}
queued = tensorboardX.SummaryWriter(str(root / "queued"))
(root / "direct").mkdir()
direct = EventsWriter(str(root / "direct/events"))
for step in range(ROUNDS):
    for number in range(SCALARS):
        queued.add_scalar(f"value/{number}", number, step)
        direct.write_event(Event(step=step, summary=scalar(f"value/{number}", number)))
    queued.flush()
    missing["SummaryWriter"] += scalars(root / "queued") < SCALARS * (step + 1)
    direct.flush()
    missing["EventsWriter"] += scalars(root / "direct") < SCALARS * (step + 1)
queued.close()
direct.close()
print(f"tensorboardX {tensorboardX.__version__}: rounds of {ROUNDS} whose file lacks scalars behind flush(): {missing}")
print(f"behind close(): {scalars(root / 'queued')} of {ROUNDS * SCALARS} scalars")
whole = scalars(root / "queued") == ROUNDS * SCALARS
raise SystemExit(0 if missing["SummaryWriter"] and not missing["EventsWriter"] and whole else "changed")
P
