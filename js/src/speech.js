// What a screen reader speaks: new events and what a button was answered. A running percentage would never be silent. The place is
// made once and outlives all updates: one that is replaced is not heard.
import { h } from "./dom.js";

export class Speech {
  constructor() {
    this.place = h("div", { class: "unheard", "aria-live": "polite" });
    this.event = "";
    this.answer = "";
  }

  /**
   * Speak what is not the same as the last time.
   * @param {{time: string, text: string} | undefined} latest
   * @param {string} answer "" where nothing is answered any more: that brings no old event back
   */
  tell(latest, answer) {
    const event = latest ? `${latest.time} ${latest.text}` : "";
    const news = [event === this.event ? "" : latest?.text, answer === this.answer ? "" : answer].filter(Boolean);
    [this.event, this.answer] = [event, answer];
    if (news.length) this.place.textContent = news.join(" ");
  }
}
