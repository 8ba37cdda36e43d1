/** The line over a training: is it running, how far is it, what may be done to it. */
import type { TrainingDetail } from '../api';
import { duration } from '../format';
import { trainingLook } from '../states';
import { isOver } from '../training';
import type { Trans } from '../words';
import { el, setAttributes, setText, stateOf } from './dom';
import { activeOf, shareOf } from './standing';

export class TrainingHead {
  readonly node: HTMLElement;
  /** Holds buttons. */
  readonly tools = el('span', 'swl-Card-tools');

  constructor(className: string, trans: Trans) {
    this._trans = trans;
    this._bar.setAttribute('aria-label', trans.__('Round'));
    this._bar.append(this._fill);
    this.node = el('div', className, {}, this._state, this._title, this._about, el('span', 'swl-grow'));
    this.node.append(this._round, this._bar, this._time, this.tools);
  }

  /** `about`: what stands beside the title. */
  update(detail: TrainingDetail, about: string, now: number): void {
    const trans = this._trans;
    const look = trainingLook(detail);
    const stopping = detail.stopping && !isOver(detail);
    const word = stopping ? trans.__('Stopping') : look.word;
    if (word !== this._word) {
      this._word = word;
      this._state.replaceChildren(stateOf({ ...look, word }, trans));
    }
    setText(this._title, trans.__('Training %1', detail.id));
    setText(this._about, about);
    const over = isOver(detail);
    const { round, rounds_planned: planned } = detail;
    const number = over ? round : round + 1;
    const rounds = planned ? trans.__('Round %1 of %2', Math.min(number, planned), planned) : trans.__('Round %1', number);
    setText(this._round, over ? trans._n('%1 round', '%1 rounds', round) : rounds);
    const share = planned ? round / planned : shareOf(detail);
    const percent = Math.round(100 * Math.min(1, share));
    this._bar.hidden = over;
    this._fill.style.width = `${percent}%`;
    const spoken = planned ? { 'aria-valuemax': planned, 'aria-valuenow': round } : { 'aria-valuemax': 100, 'aria-valuenow': percent };
    setAttributes(this._bar, { ...spoken, 'aria-valuetext': rounds });
    setText(this._time, this._clock(detail, now));
  }

  private _clock(detail: TrainingDetail, now: number): string {
    if (!isOver(detail) && detail.eta_s !== null) {
      return this._trans.__('%1 left', duration(detail.eta_s));
    }
    const begun = detail.created || now;
    const lasts = duration(Math.round(Math.max(0, (detail.ended ?? now) - begun)));
    return isOver(detail) ? lasts : this._trans.__('for %1', lasts);
  }

  private _trans: Trans;
  private _word = '';
  private _state = el('span');
  private _title = el('h3');
  private _about = el('span', 'swl-2 swl-cut');
  private _round = el('b', 'swl-num');
  private _fill = el('i');
  private _bar = el('span', 'swl-Bar swl-Bar-round', { role: 'progressbar', 'aria-valuemin': 0 });
  private _time = el('span', 'swl-2 swl-num');
}

/** "on retina, 3 of 4 nodes". */
export function whereIt(detail: TrainingDetail, trans: Trans): string {
  const count = trans.__('%1 of %2 nodes', activeOf(detail, trans), detail.nodes.length);
  return detail.swarm ? trans.__('on %1, %2', detail.swarm, count) : count;
}
