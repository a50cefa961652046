"""Formats in which a distilled student is exported, one module each, found by name in a registry."""

from avatar_optuna.exports._export import FORMATS, ExportFormat, StudentToExport, export_student

__all__ = ["FORMATS", "ExportFormat", "StudentToExport", "export_student"]
