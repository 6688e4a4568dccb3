"""Where the documents are, and the output of the programs that a failed test has run."""

from tests.e2e.conftest import no_traceback, pytest_runtest_makereport

__all__ = ["no_traceback", "pytest_runtest_makereport"]
