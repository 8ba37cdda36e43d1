/** The nodes of a swarm and what runs between them: registration, the ledger, the exchange of a round. */
import type { NodeInfo, Round, SwarmInfo, TrainingDetail } from '../api';
import { type Look, nodeLook, PHASES } from '../states';
import { isOver } from '../training';
import { english, type Trans, wordsOf } from '../words';
import { el, onResize, setAttributes, stateOf, svg, widthOf } from './dom';
import { Figure } from './figure';
import { type ILayout, layoutOf, nearest } from './layout';
import { bubbleMark, edgeSamples, nodeMark } from './marks';
import { placesOf } from './places';
import type { Selection } from './selection';
import { standingOf } from './standing';
import { roundOf } from './strip';
import { WindowedTable } from './table';

export interface ITopology {
  swarm: SwarmInfo;
  training: TrainingDetail | null;
}

const DROPPED: Look = { word: 'Dropped', icon: 'dropped', tone: 'bad' };
const ABSENT: Look = { word: 'Not in this round', icon: 'dot', tone: 'idle' };
const MOVES: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1]
};

export class Topology {
  readonly node: HTMLElement;

  constructor(host: HTMLElement, selection: Selection, trans: Trans = english) {
    this._selection = selection;
    this._trans = trans;
    this._table = new WindowedTable(trans.__('Topology'), 10, key => selection.toggleNode(key));
    this._figure = new Figure(trans.__('Topology'), this._table.node, () => this._draw(), trans);
    this._svg = svg('svg', { class: 'swl-Topo', role: 'group', 'aria-label': trans.__('Topology') });
    this._legend = el('div', 'swl-Legend', { role: 'group', 'aria-label': trans.__('Legend') });
    this._figure.body.append(this._svg, this._legend);
    this.node = this._figure.node;
    this._svg.addEventListener('keydown', event => this._key(event));
    this._svg.addEventListener('click', event => this._click(event));
    this._ends = [selection.subscribe(() => this._draw()), onResize(this._figure.body, () => this._draw())];
    host.append(this.node);
  }

  update(shown: ITopology): void {
    this._shown = shown;
    this._draw();
  }

  dispose(): void {
    this._ends.forEach(end => end());
    this.node.remove();
  }

  /** The round that is looked at; null: now. */
  private get _round(): Round | null {
    const { round } = this._selection;
    const training = this._shown?.training;
    return (round !== null && training && roundOf(training.rounds, round)) || null;
  }

  private _draw(): void {
    if (!this._shown) {
      return;
    }
    const round = this._round;
    this._figure.note = round ? this._trans.__('as of round %1', round.round) : '';
    if (this._figure.asTable) {
      this._tabulate();
      return;
    }
    const { nodes } = this._shown.swarm;
    const layout = layoutOf(nodes, widthOf(this._figure.body, 456), this._open);
    this._layout = layout;
    if (!this._differs(layout)) {
      return;
    }
    const focused = (document.activeElement as Element | null)?.getAttribute('data-node');
    const inside = this._svg.contains(document.activeElement);
    setAttributes(this._svg, { width: layout.width, height: layout.height, viewBox: `0 0 ${layout.width} ${layout.height}` });
    const parts = [...this._boxes(layout), ...this._edges(layout), ...this._bubbles(layout), ...this._nodes(layout)];
    this._svg.replaceChildren(...parts);
    if (inside && focused) {
      this._focus(focused);
    }
    this._legend.replaceChildren(...edgeSamples(this._kinds, this._trans));
  }

  /** Whether anything is to be drawn otherwise than it is. */
  private _differs(layout: ILayout): boolean {
    const { swarm, training } = this._shown!;
    const round = this._round ?? training?.rounds.at(-1);
    const { node, round: chosen } = this._selection;
    const nodes = swarm.nodes.map(one => `${one.name}@${one.host} ${this._lookOf(one).word}`);
    const parts = [layout.width, layout.height, node, chosen, training?.id, training && isOver(training), this._flows, round?.coordinator];
    const key = [...parts, round?.path, round?.nodes.join(), [...this._open].join(), ...nodes].join('\n');
    const differs = key !== this._drawn;
    this._drawn = key;
    return differs;
  }

  private _boxes(layout: ILayout): SVGElement[] {
    return layout.boxes.flatMap(box => {
      const { x, y, width, height } = box;
      const title = svg('text', { class: 'ink b', x: x + 12, y: y + 20, 'data-host': box.label }, box.label);
      return [svg('rect', { class: 'org', x, y, width, height, rx: 4 }), title];
    });
  }

  /** What runs between nodes, and which kinds of line there are. */
  private _edges(layout: ILayout): SVGElement[] {
    const kinds = new Set<string>();
    const line = (kind: string, from: string, to: string, shift = 0): SVGElement[] => {
      const [a, b] = [layout.at.get(from), layout.at.get(to)];
      if (!a || !b) {
        return [];
      }
      kinds.add(kind);
      return [svg('line', { class: `e-${kind}`, x1: a.x, y1: a.y + shift, x2: b.x, y2: b.y + shift })];
    };
    const { nodes } = this._shown!.swarm;
    const network = nodes.filter(node => node.kind === 'sentinel' || node.kind === 'sn');
    const learning = nodes.filter(node => node.kind === 'sl');
    const parts = network.slice(1).flatMap((node, at) => {
      const before = network[at].name;
      return [...line('chain', before, node.name, -2), ...line('chain', before, node.name, 2)];
    });
    // Who is registered with whom is certain where there is but one.
    if (network.length === 1 && layout.shape === 'plain') {
      learning.forEach(node => parts.push(...line(this._lookOf(node).tone === 'bad' ? 'dead' : 'reg', node.name, network[0].name)));
    }
    for (const [from, to] of this._exchanges(layout)) {
      parts.push(...line(this._flows ? 'exch swl-flow' : 'exch', from, to));
    }
    this._kinds = kinds;
    return parts;
  }

  /** Pairs of nodes between which the models of the round go, as far as they can be shown. */
  private _exchanges(layout: ILayout): [string, string][] {
    const { training } = this._shown!;
    const round = this._round ?? training?.rounds.at(-1) ?? null;
    if (!training || !round || (!this._round && isOver(training))) {
      return [];
    }
    const { coordinator, path } = round;
    const chosen = this._selection.node;
    const pairs: [string, string][] = [];
    round.nodes.forEach((from, at) => {
      for (const to of round.nodes.slice(at + 1)) {
        const star = path === 'coordinator' && coordinator !== null;
        const runs = !star || from === coordinator || to === coordinator;
        if (runs && (layout.shape === 'plain' || from === chosen || to === chosen)) {
          pairs.push([from, to]);
        }
      }
    });
    return pairs;
  }

  /** Whether parameters travel just now. */
  private get _flows(): boolean {
    const { swarm, training } = this._shown!;
    const busy = swarm.nodes.some(node => node.phase === 'EXCHANGING');
    return busy && this._selection.round === null && training !== null && !isOver(training);
  }

  private _bubbles(layout: ILayout): SVGElement[] {
    return [...layout.bubbles].map(([host, bubble]) => {
      const inside = this._shown!.swarm.nodes.filter(node => node.kind === 'sl' && node.host === host);
      const bad = inside.filter(node => this._lookOf(node).tone === 'bad').length;
      return bubbleMark(host, bubble, bad, this._trans);
    });
  }

  private _nodes(layout: ILayout): SVGElement[] {
    const { swarm, training } = this._shown!;
    const places = placesOf(training, swarm);
    const round = this._round ?? training?.rounds.at(-1) ?? null;
    const shown = swarm.nodes.filter(node => layout.at.has(node.name));
    const tabStop = shown.some(node => node.name === this._stop) ? this._stop : shown[0]?.name;
    return shown.map(node => {
      const mark = nodeMark(
        {
          name: node.name,
          kind: node.kind,
          place: places.get(node.name) ?? 0,
          look: this._lookOf(node),
          word: wordsOf(this._trans)(this._lookOf(node).word),
          coordinator: round?.coordinator === node.name && (training === null || !isOver(training) || this._round !== null),
          selected: node.name === this._selection.node
        },
        layout,
        this._trans
      );
      mark.setAttribute('tabindex', node.name === tabStop ? '0' : '-1');
      return mark;
    });
  }

  /** How a node stands: now, or in the round that is looked at. */
  private _lookOf(node: NodeInfo): Look {
    const { training } = this._shown!;
    const round = this._round;
    if (round && node.kind === 'sl') {
      return round.nodes.includes(node.name) ? PHASES.COMMITTED : node.name in round.left_out ? DROPPED : ABSENT;
    }
    if (training && !isOver(training) && training.nodes.includes(node.name) && node.state === 'training') {
      const standing = standingOf(training, node.name, this._trans).look;
      return standing.tone === 'bad' ? standing : nodeLook(node, training);
    }
    return nodeLook(node, null);
  }

  private _tabulate(): void {
    const { nodes } = this._shown!.swarm;
    const titles = [this._trans.__('Node'), this._trans.__('Kind'), this._trans.__('Host'), this._trans.__('State')];
    this._table.update(
      titles.map(title => ({ title })),
      {
        count: nodes.length,
        key: row => nodes[row].name,
        selected: row => nodes[row].name === this._selection.node,
        cells: row => {
          const look = this._lookOf(nodes[row]);
          const { name, kind, host } = nodes[row];
          return [name, kind.toUpperCase(), host, { id: look.word, make: () => stateOf(look, this._trans) }];
        }
      }
    );
  }

  private _key(event: KeyboardEvent): void {
    const name = (event.target as Element).closest('[data-node]')?.getAttribute('data-node');
    const host = (event.target as Element).closest('[data-host]')?.getAttribute('data-host');
    const act = event.key === 'Enter' || event.key === ' ';
    if (act && host) {
      this._toggleHost(host);
    } else if (act && name) {
      this._selection.toggleNode(name);
    } else if (name && event.key in MOVES && this._layout) {
      const [dx, dy] = MOVES[event.key];
      const next = nearest(this._layout.at, name, dx, dy);
      if (next) {
        this._focus(next);
      }
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  private _click(event: Event): void {
    const target = event.target as Element;
    const host = target.closest('[data-host]')?.getAttribute('data-host');
    const name = target.closest('[data-node]')?.getAttribute('data-node');
    if (host) {
      this._toggleHost(host);
    } else if (name) {
      this._stop = name;
      this._selection.toggleNode(name);
    }
  }

  private _toggleHost(host: string): void {
    if (!this._open.delete(host)) {
      this._open.add(host);
    }
    this._draw();
  }

  private _focus(name: string): void {
    this._stop = name;
    for (const mark of this._svg.querySelectorAll<SVGElement>('[data-node]')) {
      const here = mark.getAttribute('data-node') === name;
      mark.setAttribute('tabindex', here ? '0' : '-1');
      if (here) {
        mark.focus({ preventScroll: true });
      }
    }
  }

  private _selection: Selection;
  private _trans: Trans;
  private _shown: ITopology | null = null;
  private _layout: ILayout | null = null;
  private _open = new Set<string>();
  private _stop = '';
  private _drawn = '';
  private _kinds = new Set<string>();
  private _figure: Figure;
  private _table: WindowedTable;
  private _svg: SVGSVGElement;
  private _legend: HTMLElement;
  private _ends: (() => void)[];
}
