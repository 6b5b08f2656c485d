"""Scores of rows beyond one machine: an exported model inside Apache Beam's RunInference.

python examples/score_with_beam.py --rows 100000 --out runs/beam_example

Without more it runs in this process, on points of a trained preset. The same pipeline runs where
its options say; the workers need TensorFlow and no tfgen:

python examples/score_with_beam.py --export gs://BUCKET/export/1 --input 'gs://BUCKET/rows-*.csv' \
    --out gs://BUCKET/scores --runner DataflowRunner --project PROJECT --region REGION \
    --temp_location gs://BUCKET/temp --requirements_file requirements.txt
python examples/score_with_beam.py --export /shared/export/1 --input '/shared/rows-*.csv' \
    --out /shared/scores --runner FlinkRunner --flink_master HOST:8081
"""

import argparse
import time

import apache_beam as beam
import numpy as np
import tensorflow as tf
from apache_beam.io import filesystems
from apache_beam.ml.inference.base import KeyedModelHandler
from apache_beam.ml.inference.base import ModelHandler
from apache_beam.ml.inference.base import RunInference
from apache_beam.options.pipeline_options import PipelineOptions


class Scores(ModelHandler):
    """The signature `log_prob` of an export, of batches of rows."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def load_model(self):
        return tf.saved_model.load(self.folder)

    def batch_elements_kwargs(self):
        # Memory holds one batch for each thread.
        return {"min_batch_size": 256, "max_batch_size": 4096}

    def run_inference(self, batch, model, inference_args=None):
        x = tf.constant(np.stack(batch), tf.float32)
        return model.signatures["log_prob"](x=x)["log_prob"].numpy()


def parse(line):
    """A line of numbers, and these: scores go back to their lines."""
    return line, np.array(line.split(","), np.float32)


def prepare(args):
    """Exports a trained preset and writes points to score, where none are given."""
    import tfgen

    if args.export is None:
        model = tfgen.NSF.from_preset("nsf_pinwheel")
        model.export(f"{args.out}/export", version=1, verbose=False)
        args.export = f"{args.out}/export/1"
    if args.input is None:
        points = tfgen.data.load("pinwheel").train[0]
        points = points[np.random.default_rng(0).integers(0, len(points), args.rows)]
        args.input = f"{args.out}/rows.csv"
        np.savetxt(args.input, points, delimiter=",", header="x,y", comments="", fmt="%.6g")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog="Other options are the runner's."
    )
    parser.add_argument("--export", help="folder of a SavedModel of `model.export`")
    parser.add_argument("--input", help=".csv files with a line of names, as a pattern")
    parser.add_argument("--rows", type=int, default=10000, help="points to score without --input")
    parser.add_argument("--out", default="runs/beam_example")
    args, options = parser.parse_known_args()
    prepare(args)

    start = time.time()
    with beam.Pipeline(options=PipelineOptions(options, save_main_session=True)) as pipeline:
        (
            pipeline
            | beam.io.ReadFromText(args.input, skip_header_lines=1)
            | beam.Map(parse)
            | RunInference(KeyedModelHandler(Scores(args.export)))
            | beam.MapTuple(lambda line, score: f"{line},{score:.6g}")
            | beam.io.WriteToText(f"{args.out}/scores", ".csv", header="x,y,log_prob")
        )
    files = filesystems.FileSystems.match([f"{args.out}/scores*.csv"])[0].metadata_list
    print(f"Scored in {time.time() - start:.0f} s; {len(files)} files of scores in {args.out}")


if __name__ == "__main__":
    main()
