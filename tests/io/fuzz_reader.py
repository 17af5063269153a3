"""Coverage-guided fuzzing of one reader, by Atheris (https://github.com/google/atheris).

    python fuzz_reader.py text CORPUS -max_total_time=60

Whatever the bytes of a file are, a reader gives what is in it or an InputError, soon and in little
memory. What breaks that is kept as a file, which goes into `test_fuzz_readers.py`.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["napari_sparse_gmm.io"]):
    # Each of them is imported by name, for the readers themselves wait until a file needs them.
    from reader_corpus import KINDS, check

    import napari_sparse_gmm.io.hdf5
    import napari_sparse_gmm.io.minflux
    import napari_sparse_gmm.io.parquet
    import napari_sparse_gmm.io.picasso
    import napari_sparse_gmm.io.text  # noqa: F401

# Of one file; and of the whole process, in megabytes.
_SECONDS, _MEMORY, _LONGEST = 20, 3000, 20_000


def main(name: str, corpus: str, *options: str) -> None:
    kind = KINDS[name]
    for k, example in enumerate(kind.examples()):
        Path(corpus, f"example{k}").write_bytes(example)
    with tempfile.TemporaryDirectory() as folder:
        limits = f"-timeout={_SECONDS}", f"-rss_limit_mb={_MEMORY}", f"-max_len={_LONGEST}"
        # libFuzzer keeps what it finds interesting in the first folder.
        atheris.Setup(
            [sys.argv[0], *limits, *options, corpus],
            lambda content: check(kind, content, Path(folder)) and None,
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
