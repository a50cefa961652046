"""A code base scanned by an exported student: clones among all its functions, or suspicious ones."""

from avatar_optuna.scan._baseline import Baseline
from avatar_optuna.scan._candidates import candidates
from avatar_optuna.scan._encoding import CutOptions, FunctionTable, encode_files
from avatar_optuna.scan._files import VENDORED, FileFinder, SourceFile
from avatar_optuna.scan._findings import Finding, Place, ScannedStudent, ScanReport, Threshold
from avatar_optuna.scan._functions import SourceFunction, cut
from avatar_optuna.scan._groups import clone_groups
from avatar_optuna.scan._neighbours import all_pairs, nearest_pairs
from avatar_optuna.scan._scan import ScanOptions, scan_folder
from avatar_optuna.scan._scores import fit_projection, scores
from avatar_optuna.scan._threshold import tail_margin, tail_share
