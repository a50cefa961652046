"""Formats in which a distilled student is exported, one module each, found by name in a registry."""

from avatar_optuna.exports._export import FORMATS, export_student
from avatar_optuna.exports._format import ExportFormat, StudentToExport

__all__ = ["FORMATS", "ExportFormat", "StudentToExport", "export_student"]
