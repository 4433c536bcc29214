"""Words in the names of columns and in answers as people of other languages write them, and the English word for each.

Only words that mean the same wherever they stand: ``Note`` is a grade in German and French and a remark in English, and
is not here.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["ENGLISH"]

_WORDS = {
    "left": "links gauche izquierda izquierdo esquerda esquerdo sinistra sinistro lewo lewa",
    "right": "rechts droite derecha derecho direita direito destra destro prawo prawa",
    "winner": "gewinner sieger gagnant vainqueur ganador ganadora vencedor vencedora vincitore vincitrice winnaar",
    "loser": "verlierer perdant perdedor perdente verliezer",
    "annotator": "bewerter bewerterin annotateur evaluateur evaluador avaliador valutatore annotatore beoordelaar",
    "participant": "teilnehmer teilnehmerin proband probandin versuchsperson participante partecipante deelnemer",
    "judge": "gutachter richter juge juez giudice juiz",
    "respondent": "befragter befragte repondant encuestado respondente",
    "tie": "unentschieden gleichstand egalite empate pareggio gelijkspel remis",
    "equal": "gleich gleichwertig egal igual uguale gelijk",
    "both": "beide beides ambos ambas entrambi",
    "rank": "rang rangplatz platz puesto posto rango",
    "choice": "wahl auswahl choix eleccion scelta escolha keuze",
    "answer": "antwort reponse respuesta risposta resposta antwoord",
    "question": "frage pregunta domanda pergunta vraag",
    "preference": "praferenz praeferenz preferencia preferenza voorkeur",
    "best": "beste bester bestes meilleur meilleure mejor migliore melhor",
    "worst": "schlechteste schlechtester schlechtestes pire peor peggiore pior slechtste",
    "model": "modell modele modelo modello",
    "item": "objekt objet objeto oggetto",
    "rating": "bewertung wertung evaluacion valutazione avaliacao beoordeling",
    "points": "punkte puntos punti pontos punten",
    "count": "anzahl haufigkeit haeufigkeit effectif cantidad aantal",
    "first": "erste erster erstes premier premiere primero primera",
    "second": "zweite zweiter zweites deuxieme seconde segundo segunda",
    "price": "preis prix precio prezzo preco prijs",
    "yes": "ja oui si sim",
    "no": "nein nee",
    "true": "wahr vrai verdadero vero verdadeiro",
    "false": "falsch faux falso",
}

#: The English word by the foreign one, both without case and accents.
ENGLISH: Mapping[str, str] = {word: english for english, words in _WORDS.items() for word in words.split()}
