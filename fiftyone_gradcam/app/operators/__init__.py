"""The verbs as FiftyOne operators: a form for each, in a module of its own."""

from .anomalies import FindAnomalies
from .checks import FindLearningRate, PreviewAugmentation, SanityCheck
from .compare import CompareRuns, Evaluate, Retrain, SaveViews
from .embeddings import ComputeEmbeddings, ShowEmbeddings
from .explain_call import ExplainSample, ShowHeatmap
from .export_folders import ExportFolders
from .find_leaks import FindLeaks
from .fine_tune import FineTune
from .follow_job import CancelImport, FollowJob, ImportState, RepeatImport
from .heatmaps import ExplanationQuality, ExportOverlays, MeanHeatmaps
from .import_folders import ImportFolders
from .label_issues import FindLabelIssues
from .predict import Predict
from .relocate import Relocate
from .report import Report
from .review import AcceptSure, ExportReviews, Review, UndoReview
from .review_calls import ReviewCards, ReviewDecide, ReviewUndo
from .runs import DeleteRun, ExportRun, ImportRun, RenameRun
from .split import Split
from .training_summary import TrainingEstimate
from .views import HighestScores, LowestScores, Mistakes

OPERATORS = (
    ImportFolders,
    Split,
    FineTune,
    Predict,
    FindLabelIssues,
    FindLeaks,
    FindAnomalies,
    ShowEmbeddings,
    LowestScores,
    HighestScores,
    Mistakes,
    ExportFolders,
    ExportOverlays,
    MeanHeatmaps,
    ExplanationQuality,
    PreviewAugmentation,
    FindLearningRate,
    SanityCheck,
    Relocate,
    ComputeEmbeddings,
    ExportRun,
    ImportRun,
    RenameRun,
    DeleteRun,
    Review,
    UndoReview,
    AcceptSure,
    ExportReviews,
    CompareRuns,
    Retrain,
    Evaluate,
    SaveViews,
    Report,
    ReviewCards,
    ReviewDecide,
    ReviewUndo,
    ExplainSample,
    ShowHeatmap,
    FollowJob,
    ImportState,
    CancelImport,
    RepeatImport,
    TrainingEstimate,
)
