"""Rows of data files, in the formats in which people have them: one module a format."""

from avatar_optuna.data_files._files import SPLIT_NAMES, DataFile, data_file, format_titles, split_files
from avatar_optuna.data_files._format import DataFormat, Row, Rows, lines_of, shown
from avatar_optuna.data_files.csv import csv_rows
from avatar_optuna.data_files.jsonl import json_rows
