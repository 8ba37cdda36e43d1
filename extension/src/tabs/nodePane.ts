/** Everything about a node: its state, what is wrong, identity, seat, ledger, last model, and its log. */
import { CommandRegistry } from '@lumino/commands';
import type { Failure, NodeDetail, SwarmInfo, TrainingDetail } from '../api';
import { CommandIDs } from '../commands';
import { asFailure } from '../failure';
import { bytes, clock, duration, NONE, percent } from '../format';
import { kindIcon } from '../icons';
import { nodeLook, PHASES, roster, running } from '../states';
import type { ISwarmModel } from '../tokens';
import { pathOf } from '../transport';
import { LogView } from '../views';
import { button, el, icon, setText, stateOf, swatch } from '../views/dom';
import { short } from '../views/lanes';
import { type Trans, wordsOf } from '../words';

const FRESH_MS = 5000;
const SOON_S = 600;

export interface INodePane {
  model: ISwarmModel;
  swarm: string;
  node: string;
  trans: Trans;
  commands: CommandRegistry;
  /** With a close button; without, the pane is all there is. */
  close?: () => void;
}

export class NodePane {
  readonly node: HTMLElement;

  constructor(
    host: HTMLElement,
    private readonly _of: INodePane
  ) {
    const { trans, commands, swarm, node, close } = _of;
    const args = { swarm, node };
    const run = (id: string): void => void commands.execute(id, args);
    this._restart = button('refresh', trans.__('Restart'), () => run(CommandIDs.restartNode), { word: true });
    const head = el('div', 'swl-Detail-head', {}, this._kind, el('span', 'swl-b', {}, node), this._line, this._state);
    head.append(el('span', 'swl-grow'), this._restart);
    if (close) {
      head.append(button('open', trans.__('Open in a tab'), () => run(CommandIDs.openNode)));
      head.append(button('close', trans.__('Close'), close));
    }
    const label = trans.__('Node %1', node);
    this.node = el('aside', 'swl-Detail', { 'aria-label': label }, head, this._wrong, this._facts);
    this._log = new LogView(this.node, node, this._source(), trans);
    if (close) {
      this.node.addEventListener('keydown', event => {
        if (event.key === 'Escape') {
          close();
        }
      });
    }
    host.append(this.node);
    void this._log.toEnd();
  }

  update(swarm: SwarmInfo | null, training: TrainingDetail | null): void {
    const { trans } = this._of;
    const info = swarm?.nodes.find(one => one.name === this._of.node) ?? null;
    this._restart.disabled = info === null;
    if (info === null) {
      this._state.replaceChildren(this._of.trans.__('not there any more'));
      return;
    }
    if (Date.now() - this._asked > FRESH_MS) {
      void this._ask();
    }
    const look = nodeLook(info, running(swarm!));
    const place = roster(swarm!).get(info.name);
    const key = `${look.word} ${place} ${info.kind}`;
    if (key !== this._drawn) {
      this._drawn = key;
      this._kind.replaceChildren(icon(kindIcon(info.kind), '', info.kind.toUpperCase()));
      this._line.replaceChildren(...(place === undefined ? [] : [swatch(place)]));
      this._state.replaceChildren(stateOf(look, trans));
    }
    this._say(training?.failures[info.name] ?? null, info.state === 'failed' || info.state === 'degraded' ? info.message : '');
    this._list(info, this._detail);
  }

  dispose(): void {
    this._log.dispose();
    this.node.remove();
  }

  focusLog(): void {
    this._log.focus();
  }

  private async _ask(): Promise<void> {
    const { model, swarm, node } = this._of;
    this._asked = Date.now();
    try {
      this._detail = await model.request<NodeDetail>('GET', pathOf('swarms', swarm, 'nodes', node));
    } catch (error) {
      // The swarm's own status says what is wrong; this only adds to it.
      this._failed(error);
    }
  }

  private _say(failure: Failure | null, message: string): void {
    const said = failure?.message.split('\n')[0] || message;
    this._wrong.hidden = !said;
    const key = `${said} ${failure?.code}`;
    if (!said || key === this._told) {
      return;
    }
    this._told = key;
    const code = failure?.code ? el('span', 'swl-CodeTag', {}, failure.code) : null;
    const next = failure?.next ? el('p', '', {}, failure.next) : null;
    this._wrong.replaceChildren(icon('failed'), el('h4', '', {}, said, ' ', code), ...(next ? [next] : []));
  }

  private _list(info: NodeDetail | SwarmInfo['nodes'][number], detail: NodeDetail | null): void {
    const { trans } = this._of;
    const now = Date.now() / 1000;
    const rows: [string, string, string][] = [[trans.__('Host'), info.host, info.pid ? trans.__('%1, process %2', info.address, info.pid) : info.address]];
    if (info.spiffe_id) {
      const left = info.expires === null ? null : info.expires - now;
      const expires = left === null ? '' : left > 0 ? trans.__('expires in %1', duration(left)) : trans.__('has expired');
      rows.push([trans.__('Identity'), info.spiffe_id, left !== null && left < SOON_S ? `! ${expires}` : expires]);
    }
    const lease = detail?.lease ?? null;
    if (lease) {
      const seat = lease.seat === null ? trans.__('none held') : trans.__('%1 of %2', lease.seat, lease.seats ?? NONE);
      rows.push([trans.__('Seat'), seat, lease.until === null ? '' : trans.__('held until %1', clock(lease.until))]);
    }
    const ledger = detail?.ledger ?? null;
    if (ledger && (ledger.sn !== null || ledger.block)) {
      const block = !ledger.block ? '' : trans.__('block %1', ledger.block);
      rows.push([trans.__('Ledger'), ledger.sn ?? block, ledger.sn ? block : '']);
    }
    if (ledger?.account) {
      const enrolled = ledger.enrolled === true ? trans.__('enrolled') : ledger.enrolled === false ? trans.__('not enrolled') : '';
      rows.push([trans.__('Account'), short(ledger.account), enrolled]);
    }
    if (detail?.last_model) {
      const { training, round, digest } = detail.last_model;
      rows.push([trans.__('Last model'), short(digest), trans.__('%1, round %2', training, round)]);
    }
    if (info.load) {
      const { cpu, memory, gpu } = info.load;
      rows.push([trans.__('Load'), trans.__('CPU %1, memory %2', percent(cpu), bytes(memory)), gpu === null ? '' : trans.__('GPU %1', percent(gpu))]);
    }
    const phase = info.phase === null ? null : PHASES[info.phase];
    if (phase && info.phase_since !== null) {
      const lasts = trans.__('for %1', duration(Math.max(1, Math.round(now - info.phase_since))));
      const wait = info.waiting_for.length ? trans.__('waits for %1', info.waiting_for.join(', ')) : '';
      rows.push([trans.__('Phase'), wordsOf(trans)(phase.word), [lasts, wait].filter(Boolean).join(', ')]);
    }
    this._write(rows);
  }

  /** In place: what somebody has selected to copy stays selected. */
  private _write(rows: [string, string, string][]): void {
    while (this._facts.children.length > 2 * rows.length) {
      this._facts.lastElementChild!.remove();
    }
    rows.forEach(([term, value, more], at) => {
      if (!this._facts.children[2 * at]) {
        this._facts.append(el('dt'), el('dd', '', {}, el('span', 'swl-cut'), el('span', 'swl-2')));
      }
      const [first, second] = this._facts.children[2 * at + 1].children;
      setText(this._facts.children[2 * at], term);
      setText(first, value);
      first.setAttribute('title', value);
      setText(second, more.replace(/^! /, ''));
      second.classList.toggle('swl-soon', more.startsWith('! '));
    });
  }

  private _source(): ConstructorParameters<typeof LogView>[2] {
    const { model, swarm, node } = this._of;
    return {
      page: query => {
        const given = Object.entries(query).filter(([, value]) => value !== undefined);
        const asked = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
        return model.request('GET', `${pathOf('swarms', swarm, 'nodes', node, 'log')}?${asked}`);
      },
      follow: (from, listener) => model.follow(swarm, node, from, listener),
      failed: error => this._failed(error)
    };
  }

  private _failed(error: unknown): void {
    this._say(null, asFailure(error, this._of.trans).message);
  }

  private _kind = el('span');
  private _line = el('span');
  private _state = el('span');
  private _wrong = el('div', 'swl-Message is-bad', { role: 'alert', hidden: true });
  private _facts = el('dl', 'swl-Facts');
  private _restart: HTMLButtonElement;
  private _log: LogView;
  private _detail: NodeDetail | null = null;
  private _asked = 0;
  private _drawn = '';
  private _told = '';
}
