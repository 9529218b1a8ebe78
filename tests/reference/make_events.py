#!/usr/bin/env python3
"""Writes an event with TensorBoard's own writer: tests/data/tensorboard.events, for event_file_test.cc.

    make_events.py OUT            (needs tensorboard)
    make_events.py --read RUN     prints what TensorBoard reads from RUN/tensorboard: a tag a line, and each step with its value
"""
import sys

if sys.argv[1] == "--read":
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(sys.argv[2] + "/tensorboard")
    events.Reload()
    for tag in events.Tags()["scalars"]:
        print(tag, *(f"{one.step}:{one.value:g}" for one in events.Scalars(tag)))
else:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter
    event = Event(wall_time=1700000000.5, step=7)
    event.summary.value.add(tag="train/loss", simple_value=0.25)
    with open(sys.argv[1], "wb") as file:
        RecordWriter(file).write(event.SerializeToString())
