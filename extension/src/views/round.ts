/** One round in a line: its result, who took part, digest, transaction, who was left out and why. */
import type { Round, TrainingDetail } from '../api';
import { duration } from '../format';
import { PHASES } from '../states';
import type { Trans } from '../words';
import { button, el, icon, stateOf } from './dom';
import { short } from './lanes';
import { roundOf } from './strip';

export class RoundFoot {
  readonly node = el('div', 'swl-Card-foot swl-RoundFoot');

  constructor(trans: Trans) {
    this._trans = trans;
    this._copy = button('copy', trans.__('Copy this round as JSON'), () => void this._toClipboard());
  }

  update(detail: TrainingDetail, number: number): void {
    const round = roundOf(detail.rounds, number);
    this.node.hidden = detail.rounds.length === 0;
    const key = round ? `${round.round} ${round.tx} ${Object.keys(round.times).length}` : String(number);
    if (key === this._key || this.node.hidden) {
      return;
    }
    this._key = key;
    this._round = round;
    this.node.replaceChildren(...(round ? this._parts(round) : [this._trans.__('Round %1 is under way.', number)]));
  }

  private _parts(round: Round): Node[] {
    const trans = this._trans;
    const out = Object.entries(round.left_out);
    const count = trans.__('%1 of %2 nodes', round.nodes.length, round.nodes.length + out.length);
    const hash = (word: string, value: string): HTMLElement =>
      el('span', '', { title: value }, `${word} `, el('span', 'swl-mono', {}, short(value)));
    const separator = (): HTMLElement => el('span', 'swl-Sep');
    const parts: Node[] = [
      stateOf(PHASES.COMMITTED, trans),
      el('span', 'swl-b', {}, trans.__('Round %1', round.round)),
      el('span', 'swl-2', {}, round.seconds === null ? count : `${count}, ${duration(round.seconds)}`),
      separator(),
      hash(trans.__('digest'), round.digest)
    ];
    if (round.tx) {
      parts.push(hash(trans.__('transaction'), round.tx));
    }
    if (out.length) {
      parts.push(separator(), this._outside(out));
    }
    return [...parts, el('span', 'swl-grow'), this._copy];
  }

  private _outside(out: [string, string][]): HTMLElement {
    const words = out.slice(0, 3).map(([node, why]) => this._trans.__('%1 dropped: %2', node, why));
    if (out.length > 3) {
      words.push(this._trans.__('and %1 more', out.length - 3));
    }
    const title = out.map(([node, why]) => `${node}: ${why}`).join('\n');
    return el('span', 'swl-State is-bad swl-RoundFoot-out', { title }, icon('dropped'), el('span', 'swl-cut', {}, words.join('; ')));
  }

  private async _toClipboard(): Promise<void> {
    await navigator.clipboard.writeText(JSON.stringify(this._round, null, 2));
  }

  private _trans: Trans;
  private _copy: HTMLButtonElement;
  private _round: Round | undefined;
  private _key = '';
}
