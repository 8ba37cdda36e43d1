/** The swarms: one line each, what it is doing and how far it is. */
import React, { useRef } from 'react';
import type { SwarmInfo } from '../api';
import { CommandIDs } from '../commands';
import { moment } from '../format';
import { running, swarmLook } from '../states';
import { type Trans, wordsOf } from '../words';
import { openMenu, step, usePanel } from './context';
import { Icon, IconButton } from './parts';

const TYPING_MS = 700;

/** How far it is, in a few words. */
export function progressOf(swarm: SwarmInfo, trans: Trans, now = Date.now() / 1000): string {
  if (swarm.error) {
    return trans.__('cannot be read');
  }
  const training = running(swarm);
  if (training !== null && swarm.state !== 'stopped') {
    return roundOf(training.round, training.rounds_planned, trans);
  }
  const seats = swarm.nodes.filter(node => node.kind === 'sl');
  switch (swarm.state) {
    case 'ready':
    case 'waiting':
    case 'training':
      return trans._n('%1 seat', '%1 seats', seats.length);
    case 'starting': {
      const up = swarm.nodes.filter(node => node.state === 'ready').length;
      return trans.__('%1 of %2 nodes are up', up, swarm.nodes.length);
    }
    case 'degraded': {
      const bad = swarm.nodes.find(node => ['failed', 'degraded', 'stopped'].includes(node.state));
      return bad ? `${bad.name} ${trans.__('needs a look')}` : trans.__('needs a look');
    }
    default: {
      const ends = swarm.trainings.map(one => one.ended ?? 0);
      const last = Math.max(0, ...ends);
      return last ? moment(last, now, span => trans.__('%1 ago', span)) : '';
    }
  }
}

/** The round that goes on, as the training's tab and cell count it; `done` rounds are committed. */
export function roundOf(done: number, planned: number | null, trans: Trans): string {
  const round = planned === null ? done + 1 : Math.min(done + 1, planned);
  return planned === null ? trans.__('round %1', round) : trans.__('round %1 of %2', round, planned);
}

export function Swarms(): JSX.Element {
  const { model, commands, trans } = usePanel();
  const list = useRef<HTMLDivElement>(null);
  const typed = useRef({ text: '', at: 0 });
  const names = model.swarms.map(swarm => swarm.swarm);
  const selected = model.selected;
  const at = Math.max(0, names.indexOf(selected ?? ''));

  const go = (index: number): void => {
    model.selected = names[index];
    list.current?.querySelectorAll<HTMLElement>('[role=option]')[index]?.focus();
  };
  const onKeyDown = (event: React.KeyboardEvent): void => {
    let index = step(event.key, at, names.length);
    if (event.key === 'Enter') {
      void commands.execute(CommandIDs.openTraining, { swarm: names[at] });
    } else if (index === null && event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const now = Date.now();
      const text = now - typed.current.at < TYPING_MS ? typed.current.text + event.key : event.key;
      typed.current = { text, at: now };
      index = names.findIndex(name => name.startsWith(text.toLowerCase()));
    }
    if (index !== null && index >= 0) {
      event.preventDefault();
      go(index);
    }
  };
  return (
    <div
      ref={list}
      className={model.link === 'live' ? '' : 'is-stale'}
      role="listbox"
      aria-label={trans.__('Swarms')}
      onKeyDown={onKeyDown}
    >
      {model.swarms.map(swarm => (
        <SwarmRow
          key={swarm.swarm}
          swarm={swarm}
          selected={swarm.swarm === selected}
          trans={trans}
          onSelect={() => (model.selected = swarm.swarm)}
          onOpen={() => void commands.execute(CommandIDs.openTraining, { swarm: swarm.swarm })}
        />
      ))}
    </div>
  );
}

interface IRowProps {
  swarm: SwarmInfo;
  selected: boolean;
  trans: Trans;
  onSelect(): void;
  onOpen(): void;
}

function SwarmRow({ swarm, selected, trans, onSelect, onOpen }: IRowProps): JSX.Element {
  const look = swarmLook(swarm);
  const word = wordsOf(trans)(look.word);
  const what = progressOf(swarm, trans);
  return (
    <div
      className={`swl-Swarm ${selected ? 'is-selected' : ''}`}
      data-swarm={swarm.swarm}
      data-state={swarm.state}
      role="none"
      onClick={onSelect}
      onContextMenu={onSelect}
      onDoubleClick={onOpen}
    >
      <div
        className="swl-Swarm-name"
        role="option"
        aria-selected={selected}
        tabIndex={selected ? 0 : -1}
      >
        <Icon name={look.icon} tone={look.tone} label={word} />
        <span className={`swl-cut ${selected ? 'swl-b' : ''}`}>{swarm.swarm}</span>
        <span className="what">{what}</span>
      </div>
      {/* For the pointer alone: a listbox holds options and nothing else. Shift+F10 opens the same menu. */}
      <span aria-hidden>
        <IconButton icon="more" label={trans.__('Actions for %1', swarm.swarm)} tabIndex={-1} onClick={openMenu} />
      </span>
    </div>
  );
}
