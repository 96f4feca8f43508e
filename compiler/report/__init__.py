"""What is known of a layer once it is compiled, as a record for people and programs."""

from .assemble import CompiledProgram, build_report, licences_of
from .record import Fit, Function, Kernel, Licence, ProgramReport, Report, StoredTensor

__all__ = [
    "CompiledProgram",
    "Fit",
    "Function",
    "Kernel",
    "Licence",
    "ProgramReport",
    "Report",
    "StoredTensor",
    "build_report",
    "licences_of",
]
