//! What people write: reviews in a few languages, and French requests that fit their ticket's type and priority.

use super::random::{Share, Stream};

/// Writes a review that fits the number of stars, 1 to 5, into `out`.
pub fn review(out: &mut String, rating: u64, chance: &mut Stream) {
    let (openings, details) = match rating {
        1 | 2 => (BAD_OPENINGS, BAD_DETAILS),
        3 => (MIXED_OPENINGS, MIXED_DETAILS),
        _ => (GOOD_OPENINGS, GOOD_DETAILS),
    };
    out.push_str(chance.pick(openings));
    for _ in 0..chance.below(3) {
        out.push(' ');
        out.push_str(chance.pick(details));
    }
    if chance.chance(Share::percent(12)) {
        out.push_str(chance.pick(if rating >= 4 { GLAD } else { SAD }));
    }
}

const GOOD_OPENINGS: &[&str] = &[
    "Great product, exactly as described.",
    "Excellent rapport qualité-prix.",
    "Très satisfait de mon achat !",
    "Love it.",
    "Parfait, rien à redire.",
    "Works perfectly, would buy again.",
    "Sehr gute Qualität, schnelle Lieferung.",
    "Muy contento con la compra, llegó antes de lo previsto.",
    "とても気に入りました。",
    "Bought it as a gift & she loves it.",
    "Beau, solide, bien emballé.",
    "5 étoiles, sans hésiter.",
    "Better than the \"premium\" one I had before.",
    "Отличный товар, рекомендую.",
];
const GOOD_DETAILS: &[&str] = &[
    "Delivery took two days.",
    "La livraison a été très rapide.",
    "The colour is even nicer than in the pictures.",
    "Ma fille l'utilise tous les jours.",
    "Fits in our small kitchen.",
    "Je recommande.",
    "Setup was done in 5 minutes.",
    "L'emballage était soigné, merci au vendeur.",
    "Feels sturdy.",
    "On en a déjà commandé un deuxième.",
];
const MIXED_OPENINGS: &[&str] = &[
    "It does the job, nothing more.",
    "Correct pour le prix.",
    "Moyen.",
    "Geht so.",
    "Good idea, average finish.",
    "Un peu déçu par les finitions, mais ça fonctionne.",
    "まあまあです。",
    "Not bad / not great.",
];
const MIXED_DETAILS: &[&str] = &[
    "Smaller than I expected.",
    "La notice n'existe qu'en anglais.",
    "The box was dented, the content fine.",
    "Un peu bruyant.",
    "Delivery was 3 days late.",
    "La couleur ne correspond pas tout à fait à la photo.",
];
const BAD_OPENINGS: &[&str] = &[
    "Broke after a week.",
    "Très déçu.",
    "Does not work at all.",
    "À éviter !",
    "Reçu cassé, et aucune réponse du service client.",
    "Nicht zu empfehlen.",
    "Not what I ordered.",
    "No funciona y nadie contesta.",
];
const BAD_DETAILS: &[&str] = &[
    "I want my money back.",
    "J'ai demandé un remboursement le jour même.",
    "The second one had the same fault.",
    "Le plastique est fin comme du papier.",
    "Support told me to \"restart it\".",
    "Il manque la moitié des vis.",
    "Arrived two weeks late:\nno tracking, no answer.",
];
const GLAD: &[&str] = &[" 👍", " 😍", " ⭐⭐⭐⭐⭐", " 👍🏽", " ❤️"];
const SAD: &[&str] = &[" 😡", " 👎", " 😞", " 🤷‍♀️"];

/// What a ticket is about. The texts of both are the schema's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketType {
    Support,
    Technique,
    Facturation,
    Commercial,
}

impl TicketType {
    pub const ALL: [TicketType; 4] = [
        TicketType::Support,
        TicketType::Technique,
        TicketType::Facturation,
        TicketType::Commercial,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            TicketType::Support => "support",
            TicketType::Technique => "technique",
            TicketType::Facturation => "facturation",
            TicketType::Commercial => "commercial",
        }
    }

    /// Of 100 tickets of this type, how many are `basse`, `normale`, `haute` and `critique`.
    #[must_use]
    pub fn priority_weights(self) -> [u64; 4] {
        match self {
            TicketType::Support => [30, 50, 16, 4],
            TicketType::Technique => [12, 42, 31, 15],
            TicketType::Facturation => [20, 48, 26, 6],
            TicketType::Commercial => [52, 40, 7, 1],
        }
    }

    fn requests(self) -> &'static [&'static str] {
        match self {
            TicketType::Support => SUPPORT,
            TicketType::Technique => TECHNIQUE,
            TicketType::Facturation => FACTURATION,
            TicketType::Commercial => COMMERCIAL,
        }
    }
}

/// In the order of [`TicketType::priority_weights`].
pub const PRIORITIES: [&str; 4] = ["basse", "normale", "haute", "critique"];

/// Writes a request into `out`: a greeting or an alarm by priority, the matter by type, and a way to end.
pub fn request(out: &mut String, kind: TicketType, priority: usize, item_id: u64, chance: &mut Stream) {
    out.push_str(chance.pick(OPENINGS[priority]));
    let order = chance.within(100_000, 999_999);
    // A template names the order as {c} and the item as {a}.
    let mut rest: &str = chance.pick(kind.requests());
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let (name, after) = after
            .split_once('}')
            .expect("the templates below close their braces");
        let number = if name == "c" { order } else { item_id };
        push_number(out, number);
        rest = after;
    }
    out.push_str(rest);
    out.push_str(chance.pick(CLOSINGS[priority]));
}

fn push_number(out: &mut String, number: u64) {
    use std::fmt::Write;
    write!(out, "{number}").expect("a String takes everything");
}

const OPENINGS: [&[&str]; 4] = [
    &[
        "Bonjour, ",
        "Bonjour, petite question : ",
        "Bonjour, rien d'urgent : ",
        "",
    ],
    &["Bonjour, ", "Bonjour, ", "Madame, Monsieur, ", "Bonsoir, "],
    &[
        "Bonjour, je vous relance : ",
        "Bonjour, c'est assez urgent : ",
        "Troisième message : ",
    ],
    &[
        "URGENT : ",
        "Bloquant depuis ce matin : ",
        "Situation critique, merci de me rappeler : ",
    ],
];
const CLOSINGS: [&[&str]; 4] = [
    &[
        " Merci d'avance !",
        " Bonne journée.",
        " Merci, quand vous aurez un moment.",
        "",
    ],
    &[
        " Merci d'avance.",
        " Cordialement.",
        " Pouvez-vous m'aider ?",
        " Dans l'attente de votre réponse.",
    ],
    &[
        " Merci de traiter ma demande rapidement.",
        " J'attends un retour aujourd'hui.",
        " Cela fait déjà une semaine.",
    ],
    &[
        " Il me faut une réponse dans l'heure.",
        " Nous ne pouvons plus travailler.",
        " Je vais devoir saisir le médiateur.",
    ],
];
const SUPPORT: &[&str] = &[
    "je n'ai toujours pas reçu ma commande n°{c}.",
    "comment puis-je modifier l'adresse de livraison de la commande {c} ?",
    "l'article {a} est arrivé abîmé, je souhaite l'échanger.",
    "je voudrais retourner l'article {a} : où trouver l'étiquette de retour ?",
    "il manque un article dans mon colis (commande {c}, article {a}).",
    "le suivi de la commande {c} indique « livré », mais je n'ai rien reçu.",
    "la taille de l'article {a} ne convient pas, est-ce échangeable ?",
    "pouvez-vous annuler la commande {c} ? Elle a été passée par erreur.",
];
const TECHNIQUE: &[&str] = &[
    "impossible de me connecter à mon compte, le mot de passe est refusé.",
    "la page de l'article {a} affiche une erreur 500.",
    "l'application se ferme dès que j'ouvre mon panier.",
    "le code de confirmation n'arrive jamais par SMS.",
    "l'article {a} ne s'allume plus après la mise à jour.",
    "le paiement tourne en boucle à l'étape 3D Secure pour la commande {c}.",
    "votre API renvoie « 403 Forbidden » depuis hier soir.",
    "les images ne s'affichent plus sur ma tablette, ni sous Firefox ni sous Chrome.",
];
const FACTURATION: &[&str] = &[
    "j'ai été débité deux fois pour la commande {c}.",
    "je n'arrive pas à télécharger la facture de la commande {c}.",
    "le remboursement de l'article {a} n'apparaît pas sur mon compte.",
    "la TVA de la facture {c} me semble erronée (20 % au lieu de 5,5 %).",
    "mon bon d'achat n'a pas été déduit de la commande {c}.",
    "merci d'établir la facture {c} au nom de notre société.",
    "pourquoi des frais de port de 4,90 € alors que la livraison était offerte ?",
];
const COMMERCIAL: &[&str] = &[
    "proposez-vous un tarif dégressif pour 50 exemplaires de l'article {a} ?",
    "l'article {a} sera-t-il bientôt de nouveau en stock ?",
    "livrez-vous l'article {a} en Belgique et en Suisse ?",
    "pourriez-vous m'envoyer un devis pour l'article {a} ?",
    "avez-vous une offre pour les écoles et les associations ?",
    "la promotion sur l'article {a} est-elle cumulable avec ma carte de fidélité ?",
    "nous aimerions devenir revendeur : qui contacter ?",
];
