//! Does the answer open with a refusal?
//!
//! A list of phrases at the very start, not a regex over the whole answer: an essay about "I cannot" refuses nothing.
//! The text is read in a plain form (lower case, straight apostrophes, no other punctuation, single spaces) as
//! `opener* (subject verb | phrase)`, e.g. `i'm sorry` + `but` + `i can't` + `assist`. The lists were written for
//! Tollgate from the wordings that chat models use; `docs/routes.md` prints them. They are modest: English well,
//! German, French, Spanish, Italian, Portuguese, Dutch, Chinese, Japanese and Korean in their usual form.

/// Plain text that is looked at; no opening is longer.
const WINDOW: usize = 320;
/// Openers in a row that are looked through.
const DEPTH: u32 = 6;

/// What has been seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Seen {
    /// It may still become a refusal.
    #[default]
    Maybe,
    /// A refusal.
    Yes,
    /// Something else, whatever follows.
    No,
}

/// May stand before a refusal and says nothing by itself.
const OPENERS: &[&str] = &[
    "i'm sorry",
    "i am sorry",
    "i'm very sorry",
    "i'm really sorry",
    "so sorry",
    "sorry",
    "i apologize",
    "i apologise",
    "my apologies",
    "apologies",
    "unfortunately",
    "regrettably",
    "i'm afraid",
    "i am afraid",
    "i understand",
    "i appreciate",
    "that",
    "but",
    "however",
    "and",
    "for",
    "the confusion",
    "as an ai",
    "as an ai language model",
    "as an ai assistant",
    "as an ai model",
    "as a language model",
    "as a large language model",
    "as a responsible ai",
    "thank you for asking",
    "es tut mir leid",
    "tut mir leid",
    "leider",
    "aber",
    "als ki",
    "je suis désolé",
    "je suis désolée",
    "désolé",
    "désolée",
    "malheureusement",
    "mais",
    "lo siento",
    "lamento",
    "pero",
    "lamentablemente",
    "desafortunadamente",
    "mi dispiace",
    "purtroppo",
    "ma",
    "sinto muito",
    "desculpe",
    "mas",
    "infelizmente",
    "het spijt me",
    "sorry maar",
    "maar",
    "helaas",
    "很抱歉",
    "抱歉",
    "对不起",
    "對不起",
    "非常抱歉",
    "但",
    "申し訳ありませんが",
    "申し訳ございませんが",
    "すみませんが",
    "죄송하지만",
    "죄송합니다",
];

/// Who will not, before a verb of [`VERBS`].
const SUBJECTS: &[&str] = &[
    "i can't",
    "i cannot",
    "i can not",
    "i'm not able to",
    "i am not able to",
    "i'm unable to",
    "i am unable to",
    "i won't",
    "i will not",
    "i won't be able to",
    "i will not be able to",
    "i'm not going to",
    "i am not going to",
    "i'm not comfortable",
    "i am not comfortable",
    "i don't feel comfortable",
    "i do not feel comfortable",
    "i'm not allowed to",
    "i am not allowed to",
    "i'm not permitted to",
    "i am not permitted to",
    "we can't",
    "we cannot",
];

/// What is refused. A prefix is enough: `assist` also stands for `assisting`.
const VERBS: &[&str] = &[
    "help with",
    "help you",
    "helping",
    "assist",
    "provid",
    "comply",
    "fulfil",
    "do that",
    "do this",
    "creat",
    "generat",
    "writ",
    "produc",
    "engag",
    "support",
    "answer",
    "discuss",
    "shar",
    "offer",
    "participat",
    "continue with",
    "continue this",
    "complet",
    "process",
    "giv",
    "recommend",
    "advis",
    "respond",
    "satisfy",
    "carry out",
    "perform",
    "accommodate",
    "proceed",
    "promot",
    "facilitat",
    "fulfill",
    "be able to",
];

/// Refusals on their own.
const PHRASES: &[&str] = &[
    "i must decline",
    "i have to decline",
    "i need to decline",
    "i decline to",
    "i must refuse",
    "i have to refuse",
    "i refuse to",
    "i'm declining",
    "i respectfully decline",
    "it's against my guidelines",
    "it is against my guidelines",
    "this goes against my",
    "that goes against my",
    "this request goes against",
    "this violates",
    "it would be inappropriate for me",
    "it would not be appropriate for me",
    "it wouldn't be appropriate for me",
    "i'm designed to be helpful harmless",
    "ich kann ihnen dabei nicht",
    "ich kann dir dabei nicht",
    "ich kann dabei nicht",
    "ich kann das nicht",
    "ich kann diese anfrage nicht",
    "ich kann diese frage nicht",
    "ich kann nicht",
    "dabei kann ich nicht",
    "dabei kann ich ihnen nicht",
    "dabei kann ich dir nicht",
    "dabei kann ich leider nicht",
    "das kann ich nicht",
    "je ne peux pas",
    "je ne suis pas en mesure",
    "je ne suis pas capable",
    "je dois refuser",
    "no puedo ayudar",
    "no puedo proporcionar",
    "no puedo cumplir",
    "no puedo responder",
    "no puedo hacer",
    "no puedo asistir",
    "no puedo crear",
    "no puedo generar",
    "non posso aiutar",
    "non posso fornire",
    "non posso rispondere",
    "non posso soddisfare",
    "non sono in grado",
    "não posso ajudar",
    "não posso fornecer",
    "não posso responder",
    "não posso atender",
    "não consigo ajudar",
    "ik kan je daar niet",
    "ik kan je hier niet",
    "ik kan u daar niet",
    "ik kan u hier niet",
    "ik kan daar niet",
    "ik kan niet helpen",
    "daar kan ik niet",
    "daar kan ik je niet",
    "daar kan ik u niet",
    "我不能",
    "我无法",
    "我無法",
    "我没办法",
    "无法提供",
    "無法提供",
    "お手伝いできません",
    "お答えできません",
    "その質問にはお答えできません",
    "そのご要望にはお応えできません",
    "ご要望にはお応えできません",
    "対応できません",
    "도와드릴 수 없",
    "제공할 수 없",
    "답변할 수 없",
    "그 요청은 도와드릴 수 없",
    "해당 요청은 도와드릴 수 없",
];

/// Reads the start of an answer character by character.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    plain: String,
    gap: bool,
    seen: Seen,
}

impl Refusal {
    pub(super) const fn seen(&self) -> Seen {
        self.seen
    }

    /// The answer ends here. "I'm sorry, but I can't." names no verb and refuses all the same.
    pub(super) fn ended(&self) -> bool {
        self.seen == Seen::Maybe && read(&format!("{} do that", self.plain), DEPTH) == Seen::Yes
    }

    /// Takes the next character; once decided it stays so.
    pub(super) fn push(&mut self, c: char) -> Seen {
        if self.seen != Seen::Maybe {
            return self.seen;
        }
        let c = match c {
            '’' | '‘' | 'ʼ' | '`' => '\'',
            c => c,
        };
        if !(c.is_alphanumeric() || c == '\'') {
            self.gap = !self.plain.is_empty();
            return self.seen;
        }
        if std::mem::take(&mut self.gap) {
            self.plain.push(' ');
        }
        self.plain.extend(c.to_lowercase());
        self.seen = if self.plain.len() > WINDOW { Seen::No } else { read(&self.plain, DEPTH) };
        self.seen
    }
}

/// Is some reading of `text` a refusal (`Yes`), or could one become so (`Maybe`)? Every comparison is on a prefix, so
/// a decided answer does not change as the text grows.
fn read(text: &str, depth: u32) -> Seen {
    let mut best = Seen::No;
    for phrase in PHRASES {
        match after(text, phrase) {
            Seen::Yes => return Seen::Yes,
            Seen::Maybe => best = Seen::Maybe,
            Seen::No => {}
        }
    }
    for subject in SUBJECTS {
        let found = match text.strip_prefix(subject) {
            Some(rest) => verbs(rest.trim_start()),
            None => after(text, subject),
        };
        match found {
            Seen::Yes => return Seen::Yes,
            Seen::Maybe => best = Seen::Maybe,
            Seen::No => {}
        }
    }
    for opener in OPENERS {
        let found = match text.strip_prefix(opener) {
            Some(rest) if depth > 0 => read(rest.trim_start(), depth - 1),
            Some(_) => Seen::No,
            None => after(text, opener),
        };
        match found {
            Seen::Yes => return Seen::Yes,
            Seen::Maybe => best = Seen::Maybe,
            Seen::No => {}
        }
    }
    best
}

fn verbs(rest: &str) -> Seen {
    let found = VERBS.iter().map(|verb| after(rest, verb));
    found.fold(Seen::No, |best, seen| match (best, seen) {
        (Seen::Yes, _) | (_, Seen::Yes) => Seen::Yes,
        (Seen::Maybe, _) | (_, Seen::Maybe) => Seen::Maybe,
        _ => Seen::No,
    })
}

fn after(text: &str, wanted: &str) -> Seen {
    if text.starts_with(wanted) {
        Seen::Yes
    } else if wanted.starts_with(text) {
        Seen::Maybe
    } else {
        Seen::No
    }
}
