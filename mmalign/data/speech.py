"""The data sets of people who speak: what each is about, and what its labels mean."""

from dataclasses import dataclass

MODALITIES = ("text", "video", "audio")


@dataclass(frozen=True, kw_only=True)
class Speech:
    """One of the data sets: what its labels mean."""

    about: str
    columns: tuple[int, ...] = (0,)  # how many label columns a file may have; 0: no second axis
    column: int = 0  # which of them is the label
    low: float = -3.0  # range of the label as it stands in the file
    high: float = 3.0
    neutral: float = 0.0  # subtracted, so that 0 is neither good nor bad
    classes: tuple[str, ...] = ()  # of a classification; the files do not name them
    trimmed: bool = True  # zeros in every modality at either end are padding; False: steps like any other

    @property
    def one_hot(self) -> bool:
        """Whether the columns are the classes."""
        return bool(self.classes) and len(self.classes) in self.columns


SENTIMENT = {"columns": (0, 1, 7)}  # -3 to 3; of seven columns the first is the sentiment, six are emotions
SPEECH = {
    # Read whole, as the repository's own code reads it: how long a short review is silent says something of its
    # score, and every system does worse without (MAE of `single` +0.03 on each of five seeds).
    "ict-mmmo": Speech(about="online movie reviews, one sentiment score each", low=1, high=5, neutral=3, trimmed=False),
    # Seventeen judgements of a speaker; the fifteenth is the sentiment. Persuasive Opinion Multimedia, on
    # a scale of 1 to 7, a few averages below.
    "pom": Speech(about="movie reviews, one sentiment score each", columns=(17,), column=14, low=0, high=7, neutral=4),
    "youtube": Speech(about="opinions on YouTube, 3 classes of sentiment", columns=(3,), classes=("0", "1", "2")),
    "mosi": Speech(about="CMU-MOSI: sentences of movie reviews, one sentiment score each", **SENTIMENT),
    "mosei": Speech(about="CMU-MOSEI: sentences on many topics, one sentiment score each", **SENTIMENT),
    "sims": Speech(about="CH-SIMS: Chinese films and series, one sentiment score each", columns=(0, 1), low=-1, high=1),
    "meld": Speech(
        about="MELD: utterances of a television series, 7 emotions", columns=(0, 1), classes=tuple("0123456")
    ),
}
