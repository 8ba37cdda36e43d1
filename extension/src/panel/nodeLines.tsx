/** One line of the node tree. */
import type { TranslationBundle } from '@jupyterlab/translation';
import React, { useRef } from 'react';
import type { Load } from '../api';
import { bytes, duration, NONE, percent, shortDuration } from '../format';
import { kindIcon } from '../icons';
import { wordsOf } from '../words';
import { Icon, Spark, sparkPoints, State, Swatch, useChanged } from './parts';
import type { GroupKey, GroupRow, NodeRow } from './tree';

interface IGroupProps {
  row: GroupRow;
  /** It has the tree's one tab stop. */
  current: boolean;
  trans: TranslationBundle;
  onToggle(): void;
}

function groupLabel(key: GroupKey, trans: TranslationBundle): string {
  switch (key) {
    case 'services':
      return trans.__('Services');
    case 'network':
      return trans.__('Network');
    case 'learning':
      return trans.__('Learning');
    case 'look':
      return trans.__('Need a look');
    case 'all':
      return trans.__('All learning nodes');
  }
}

export function GroupLine({ row, current, trans, onToggle }: IGroupProps): JSX.Element {
  const counts =
    row.level > 1
      ? String(row.total)
      : row.up === row.total
        ? trans.__('%1 up', row.up)
        : trans.__('%1 of %2 up', row.up, row.total);
  return (
    <div
      className={`swl-Node is-group lv${row.level}`}
      role="row"
      aria-level={row.level}
      aria-expanded={row.open}
      tabIndex={current ? 0 : -1}
      onClick={onToggle}
    >
      <div className="swl-Node-line" role="gridcell">
        <Icon name={row.open ? 'down' : 'right'} className="caret" />
        <span className="swl-b">{groupLabel(row.key, trans)}</span>
        <span className="sub">
          <span className="swl-2">{counts}</span>
          {row.exceptions.slice(0, 2).map(({ look, count }) => (
            <span key={look.word} className={`swl-State is-${look.tone}`}>
              <Icon name={look.icon} />
              {count} {wordsOf(trans)(look.word).toLowerCase()}
            </span>
          ))}
        </span>
      </div>
    </div>
  );
}

interface INodeProps {
  row: NodeRow;
  swarm: string;
  loads: readonly Load[];
  current: boolean;
  selected: boolean;
  trans: TranslationBundle;
  onSelect(): void;
  onOpen(): void;
  onLog(): void;
  onDrag(event: PointerEvent): void;
}

/** How far the pointer moves before it drags. */
const DRAG_PX = 5;

export function NodeLine(props: INodeProps): JSX.Element {
  const { row, swarm, loads, current, selected, trans } = props;
  const { node, look } = row;
  const press = useRef<{ x: number; y: number } | null>(null);
  // Not with each phase of a round: a healthy node is quiet.
  const changed = useChanged(look.tone === 'bad' || look.tone === 'warn' ? look.word : node.state);
  const load = node.load === null ? '' : loadText(node.load, trans);
  const classes = ['swl-Node', 'is-node', `lv${row.level}`];
  classes.push(selected ? 'is-selected' : '', changed ? `is-changed is-${look.tone}` : '');
  return (
    <div
      className={classes.join(' ')}
      role="row"
      aria-level={row.level}
      aria-selected={selected}
      tabIndex={current ? 0 : -1}
      data-swarm={swarm}
      data-node={node.name}
      data-kind={node.kind}
      data-state={look.word}
      title={load && !row.loaded ? load : undefined}
      onClick={props.onSelect}
      onContextMenu={props.onSelect}
      onDoubleClick={props.onOpen}
      onPointerDown={event => {
        press.current = event.button === 0 ? { x: event.clientX, y: event.clientY } : null;
      }}
      onPointerMove={event => {
        const from = press.current;
        if (from && Math.hypot(event.clientX - from.x, event.clientY - from.y) > DRAG_PX) {
          press.current = null;
          props.onDrag(event.nativeEvent);
        }
      }}
      onPointerUp={() => (press.current = null)}
    >
      <div className="swl-Node-line">
        <span className="swl-Node-name" role="rowheader">
          <Icon name={kindIcon(node.kind)} className="kind" label={node.kind} />
          <span className="swl-cut">{node.name}</span>
          {row.index !== null && <Swatch index={row.index} />}
        </span>
        <span role="gridcell">
          <State look={look} trans={trans} />
        </span>
        <span className="seat" role="gridcell">
          {seatText(node.seat, node.kind)}
        </span>
        <Identity expires={node.expires} trans={trans} />
      </div>
      {row.loaded && <LoadLine loads={loads} load={node.load} trans={trans} />}
      <Why row={row} trans={trans} onLog={props.onLog} />
    </div>
  );
}

/** How its programs start; only a learning node has a seat. */
function seatText(seat: unknown, kind: string): string {
  if (kind !== 'sl') {
    return NONE;
  }
  const start = typeof seat === 'object' && seat !== null ? (seat as { start?: unknown }).start : seat;
  return typeof start === 'string' || typeof start === 'number' ? String(start) : NONE;
}

function Identity({ expires, trans }: { expires: number | null; trans: TranslationBundle }): JSX.Element {
  const longest = useRef(0);
  const left = expires === null ? null : expires - Date.now() / 1000;
  longest.current = Math.max(longest.current, left ?? 0);
  // It is renewed at half of its life: with less than a third left that has not happened.
  const ends = left !== null && left < longest.current / 3;
  const text = left === null ? NONE : left <= 0 ? trans.__('ended') : shortDuration(left);
  const title =
    left === null ? undefined : trans.__('Its identity (SVID) expires in %1', duration(Math.max(0, left)));
  return (
    <span className={`svid ${ends ? 'is-warn' : ''}`} role="gridcell" title={title}>
      {ends && <Icon name="clock" label={trans.__('ends soon')} />}
      {text}
    </span>
  );
}

function loadText(load: Load, trans: TranslationBundle): string {
  const gpu = load.gpu === null ? '' : `, GPU ${percent(load.gpu)}`;
  return trans.__('CPU %1, memory %2', percent(load.cpu), bytes(load.memory)) + gpu;
}

interface ILoadProps {
  loads: readonly Load[];
  load: Load | null;
  trans: TranslationBundle;
}

function LoadLine({ loads, load, trans }: ILoadProps): JSX.Element | null {
  if (load === null) {
    return null;
  }
  const most = Math.max(100, ...loads.map(one => one.cpu));
  const largest = Math.max(1, ...loads.map(one => one.memory));
  return (
    <div className="swl-Load" role="gridcell">
      <span>
        {trans.__('CPU')}
        <Spark points={sparkPoints(loads.map(one => one.cpu / most))} />
        <b>{percent(load.cpu)}</b>
      </span>
      <span>
        {trans.__('Mem')}
        <Spark points={sparkPoints(loads.map(one => (0.7 * one.memory) / largest))} />
        <b>{bytes(load.memory)}</b>
      </span>
      {load.gpu !== null && (
        <span>
          {trans.__('GPU')}
          <Spark points={sparkPoints(loads.map(one => (one.gpu ?? 0) / 100))} />
          <b>{percent(load.gpu)}</b>
        </span>
      )}
    </div>
  );
}

interface IWhyProps {
  row: NodeRow;
  trans: TranslationBundle;
  onLog(): void;
}

function Why({ row, trans, onLog }: IWhyProps): JSX.Element | null {
  const { faults } = row.node;
  if (!row.why && faults.length === 0) {
    return null;
  }
  const now = Date.now() / 1000;
  return (
    <div className="swl-Why" role="gridcell">
      {faults.map(({ kind, until }) => (
        <span key={kind} className="swl-Chip">
          {kind === 'pause' ? trans.__('paused by you') : trans.__('slowed by you')}
          {until !== null && `, ${duration(until - now)}`}
        </span>
      ))}
      {row.why && (
        <>
          {row.why}{' '}
          <button type="button" className="swl-Link" tabIndex={-1} onClick={onLog}>
            {trans.__('Open log')}
          </button>
        </>
      )}
    </div>
  );
}
