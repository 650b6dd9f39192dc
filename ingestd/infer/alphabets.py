"""The older encodings, and which characters beyond ASCII their languages use how often.

Frequency is rank: an alphabet names its small letters, the commonest first.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

_LETTERS, _SYMBOLS = 0.93, 0.05
"""Shares of all characters beyond ASCII."""
_MOST_TO_LEAST = 20
"""So much more often than its rarest letter a language uses its commonest one."""
_FOREIGN = -8.5
"""A Latin letter that the language itself does not use, but names do."""
_USUAL_SYMBOLS = "€°’–“”…£§²½\u00a0«»º„·®©™µ³ª¿¡№‘—±×•¼¾、。・（）「」ー：\u3000，"
_FOREIGN_LETTERS = tuple(filter(str.isalpha, map(chr, range(0xC0, 0x180))))
_KANA = "".join(map(chr, (*range(0x3041, 0x3094), *range(0x30A1, 0x30F5))))
_HALF_KANA = "".join(map(chr, range(0xFF66, 0xFFA0)))
_SIMPLIFIED = (
    "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工"
    "也能下过子说产种面而方后多定行学法所民得经十三之进着等部度家电力里如水化高自二理起小"
    "物现实加量都两体制机当使点从业本去把性好应开它合还因由其些然前外天政四日那社义事平形"
    "相全表间样与关各重新线内数正心反你明看原又么利比或但质气第向道命此变条只没结解问意建"
    "月公无系军很情者最立代想已通并提直题程展五果料员位入常文总次品式活设及管特件长求老头"
    "基资边流路级少图山统接知较将组见计别手角期市区县省街号姓名址话价格单备注海东北京南西"
    "广州江湖河张王李刘陈林"
)
_TRADITIONAL = (
    "的一是在不了有和人這中大為上個國我以要他時來用們生到作地於出就分對成會可主發年動同工"
    "也能下過子說產種面而方後多定行學法所民得經十三之進著等部度家電力裡如水化高自二理起小"
    "物現實加量都兩體制機當使點從業本去把性好應開它合還因由其些然前外天政四日那社義事平形"
    "相全表間樣與關各重新線內數正心反你明看原又麼利比或但質氣第向道命此變條只沒結解問意建"
    "月公無系軍很情者最立代想已通並提直題程展五果料員位入常文總次品式活設及管特件長求老頭"
    "基資邊流路級少圖山統接知較將組見計別手角期市區縣鄉鎮街號姓名址話訂單備註價格灣臺北南"
    "東西竹陳林黃張李王吳劉"
)
_KANJI = (
    "日一国会人年大十二本中長出三同時政事自行社見月分議後前民生連五発間対上部東者党地合市"
    "業内相方四定今回新場金員九入選立開手米力学問高代明実円関決子動京全目表経通外最言氏現"
    "理調体化田当八六約主題下首意法不来作性的要用制治度務強気小七成期公野協取都和統以機平"
    "総加山思家話世受区領多県続進正安設保改数記院女初北指権心界支第産結百派点教報済書府活"
    "原先共得解名交資予川向際面委告文反元重近千考認画海参売利組知案道信集在件団別物側任引"
    "使求所次水半品論計増係感特情投示変男基私各始島直両価式確村提運終果西台広必応電住番号"
    "株佐藤鈴木橋渡辺伊吉崎松林森郎美町丁商注備未送"
)
_SYLLABLES = (
    "이다는에가의을고하지은사자기로한를인어대과도나시리서아일부전정보수주그있장라제동원해"
    "상구만조것여유국성스오비야신무들세소안경공민학생방문면연교화실중관선회내발개요금용위"
    "합계결진현단물명분산목반모품재적양업체운우류당설별영강통치간청행차식김박최권황송홍광"
    "울천포남북읍길번호름격량완료배입출등록날짜년월"
)


@dataclass(frozen=True, slots=True)
class Language:
    """How likely each character is that it uses, and it itself; as logarithms."""

    likelihoods: Mapping[str, float]
    prior: float = 0.0


@dataclass(frozen=True, slots=True)
class Family:
    """Encodings of the same languages, with how likely each is, as a logarithm."""

    encodings: Mapping[str, float]
    languages: tuple[Language, ...]
    is_latin: bool = False


@cache
def families() -> tuple[Family, ...]:
    """All that are told apart."""
    return (*_latin_families(), *_families_of_other_alphabets(), *_ideographic_families())


def _latin_families() -> tuple[Family, ...]:
    return (
        Family(
            {"cp1252": 0, "iso8859-15": -1, "cp850": -2, "cp437": -2.5, "mac-roman": -2.5},
            (
                _latin("éèàêçôâîûùïëœæÿ"), _latin("üäößé"), _latin("óáíñéúüçàèïò"),
                _latin("ãáçéíóõêâúàôü"), _latin("àèìòùéî"), _latin("äåöéüø"), _latin("øåæéöüä"),
                _latin("äöåéšž", -0.5), _latin("ëéïöüèáó", -0.5), _latin("íáðéóöúæþý", -1),
                _latin("éèüöäàáóçíñãôåøêúâïëõòùìîûæß", -1),  # several of them in one file
            ),
            is_latin=True,
        ),
        Family(
            {"cp1250": -0.5, "iso8859-2": -1, "cp852": -2.5, "mac-latin2": -4},
            (
                _latin("łóążęśćńźé"), _latin("áíéěčřžýšůúóňťďöü"), _latin("áéőóöíüúű"),
                _latin("ăţşîâ"), _latin("čšžćđ"), _latin("áíéčžľšúýťôňďóäŕĺě", -0.3),
                _latin("üäößé", -1),
            ),
            is_latin=True,
        ),
        Family({"cp1254": -0.5, "cp857": -3}, (_latin("ışğüöçâîû"),), is_latin=True),
        Family(
            {"cp1257": -0.7, "iso8859-13": -1.5, "cp775": -3.5},
            (_latin("ėšžųįąčęūž"), _latin("āīēšņļūžķčģ"), _latin("äõüöšž", -0.3)),
            is_latin=True,
        ),
    )  # fmt: skip


def _families_of_other_alphabets() -> tuple[Family, ...]:
    return (
        Family(
            {
                "cp1251": 0, "koi8-r": -1, "koi8-u": -1.2, "cp866": -1.5, "iso8859-5": -2,
                "mac-cyrillic": -3,
            },
            (
                _alphabet("оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё"),
                _alphabet("оаинітервслкпумдзьбягйюєчхжїщшцфґ", -0.2),
                _alphabet("аоеитнрсвлпдкмзгящцъуюбжхчшйьф", -0.2),
                _alphabet("аоиенрстјудкпвмљбзгњцшћчђжхфџ", -0.5),
            ),
        ),
        Family(
            {"cp1253": 0, "iso8859-7": -0.5, "cp737": -2},
            (_alphabet("αοιετσνηυρπκμλςγδθωχφβξζψάέήίόύώϊϋΐΰ"),),
        ),
        Family(
            {"cp1255": 0, "iso8859-8": -0.5, "cp862": -2},
            (_alphabet("יהולאתרבמשנדחקפעכטגסצםןזךץף"),),
        ),
        Family(
            {"cp1256": 0, "iso8859-6": -1}, (_alphabet("اليمنرتوبةدعفسهكجقحشأصطضخئءغظذىزثإآؤ"),)
        ),
        Family(
            {"cp874": 0},
            (_alphabet("านรอก่เง้มยลัวดทีสตะิปบคหแจุพืชขใไโู็ำผฟซถศ์ณธษึฐญฏฎฌฃฅฆๆฯ"),),
        ),
    )  # fmt: skip


def _ideographic_families() -> tuple[Family, ...]:
    return (
        Family({"gb18030": 0}, (_ideographs("gb2312", 0xB0, 0xD7, (_SIMPLIFIED, 0.6)),)),
        Family({"big5": 0}, (_ideographs("big5", 0xA4, 0xC6, (_TRADITIONAL, 0.6)),)),
        Family(
            {"cp932": 0, "euc_jp": -0.5},
            (
                _ideographs(
                    "shift_jis", 0x88, 0x97, (_KANJI, 0.4), (_KANA, 0.33), (_HALF_KANA, 0.02)
                ),
            ),
        ),
        Family({"cp949": 0}, (_ideographs("euc_kr", 0xB0, 0xC8, (_SYLLABLES, 0.6)),)),
    )  # fmt: skip


def _latin(letters: str, prior: float = 0.0) -> Language:
    """Letters beyond those of ASCII, of which there are others in foreign names."""
    foreign = dict.fromkeys(_FOREIGN_LETTERS, _FOREIGN)
    return Language(foreign | dict(_alphabet(letters).likelihoods), prior)


def _alphabet(letters: str, prior: float = 0.0) -> Language:
    small = _ranked(letters, _LETTERS)
    capital = {letter.upper(): likelihood for letter, likelihood in small.items()}
    return Language(_ranked(_USUAL_SYMBOLS, _SYMBOLS) | capital | small, prior)


def _ideographs(codec: str, first: int, last: int, *common: tuple[str, float]) -> Language:
    """Common characters with their shares; and those whose first byte is in the usual range."""
    pairs = (bytes((lead, trail)) for lead in range(first, last + 1) for trail in range(0x40, 256))
    usual = "".join(pair.decode(codec, "ignore") for pair in pairs)
    left = _LETTERS - sum(share for _, share in common)
    likelihoods = _evenly(usual, left) | _ranked(_USUAL_SYMBOLS, _SYMBOLS)
    for characters, share in common:
        likelihoods |= _evenly(characters, share)
    return Language(likelihoods)


def _ranked(characters: str, share: float) -> dict[str, float]:
    weights = [_MOST_TO_LEAST ** (-rank / len(characters)) for rank in range(len(characters))]
    return {
        character: math.log(share * weight / sum(weights))
        for character, weight in zip(characters, weights, strict=True)
    }


def _evenly(characters: Iterable[str], share: float) -> dict[str, float]:
    different = {character for character in characters if character > "\x7f"}
    return dict.fromkeys(different, math.log(share / len(different)))
