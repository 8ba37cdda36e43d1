/** The card of one training: how far it is, what it is doing, how good it is, what can be done. */
import React, { useState } from 'react';
import type { SwarmInfo, TrainingInfo } from '../api';
import { CommandIDs } from '../commands';
import { decimal, duration, NONE } from '../format';
import { lineStyle, type Look, nodeLook, roster, trainingLook } from '../states';
import { Curves } from '../views/curves';
import { openMenu, usePanel } from './context';
import { type Lines, lines } from './curve';
import { useDetail } from './detail';
import { Bar, Button, Icon, IconButton, State } from './parts';

interface ICardProps {
  swarm: SwarmInfo;
  training: TrainingInfo;
}

const WIDTH = 296;
const HEIGHT = 56;

export function TrainingCard({ swarm, training }: ICardProps): JSX.Element {
  const { model, commands, trans } = usePanel();
  const detail = useDetail(model, trans, swarm.swarm, training.id);
  const [curves] = useState(() => new Curves('loss'));
  const runs = training.state === 'running';
  const look = runs ? phaseOf(swarm, training) : trainingLook(training);
  const gone = new Set([...Object.keys(training.lost), ...Object.keys(training.without)]);
  const here = training.nodes.length - gone.size;
  const planned = training.rounds_planned;
  const named = { swarm: swarm.swarm, training: training.id };
  const select = (): void => model.select(swarm.swarm, { training: training.id });
  return (
    <div
      className="swl-Training"
      role="group"
      aria-label={trans.__('Training %1', training.id)}
      data-swarm={swarm.swarm}
      data-training={training.id}
      data-state={training.state}
      onContextMenu={select}
    >
      <div className="swl-Training-head">
        <span className="swl-b">{training.id}</span>
        <span className="swl-2 swl-cut swl-grow">{fileName(training.program)}</span>
        <span className="swl-num swl-Training-round">
          <span className="swl-b">{training.round}</span>{' '}
          <span className="swl-2">
            {planned === null ? trans._n('round', 'rounds', training.round) : trans.__('of %1', planned)}
          </span>
        </span>
      </div>
      {planned !== null && (
        <Bar
          value={training.round}
          most={planned}
          label={trans.__('Rounds')}
          text={trans.__('round %1 of %2', training.round, planned)}
        />
      )}
      <div className="row">
        <State look={look} trans={trans} />
        <span className="swl-2 swl-cut">
          {here < training.nodes.length || runs
            ? trans.__('%1 of %2 nodes', here, training.nodes.length)
            : trans._n('%1 node', '%1 nodes', training.nodes.length)}
        </span>
        <span className="swl-grow" />
        <span className="swl-num">{timeOf(training, trans.__('%1 left', duration(training.eta_s)))}</span>
      </div>
      <Waits swarm={swarm} training={training} />
      <div className="metrics">
        <Metric label={trans.__('Loss, merged')} value={decimal(training.loss)} />
        <Metric label={trans.__('Metric, merged')} value={decimal(training.metric)} />
        <Metric label={trans.__('Last round')} value={duration(training.round_seconds)} />
      </div>
      {detail !== null && <LossLines swarm={swarm} shown={lines(curves.update(detail), WIDTH, HEIGHT)} />}
      <Failures training={training} onLog={node => void commands.execute(CommandIDs.openLog, { ...named, node })} />
      <div className="row acts">
        <Button icon="open" onClick={() => void commands.execute(CommandIDs.openTraining, named)}>
          {trans.__('Open')}
        </Button>
        {runs && (
          <Button icon="stop" onClick={() => void commands.execute(CommandIDs.stopTraining, named)}>
            {trans.__('Stop…')}
          </Button>
        )}
        {training.state === 'failed' && (
          <Button icon="play" onClick={() => void commands.execute(CommandIDs.resumeTraining, named)}>
            {trans.__('Let %1 go on', training.id)}
          </Button>
        )}
        <span className="swl-grow" />
        <IconButton
          icon="notebook"
          label={trans.__('Open as notebook')}
          onClick={() => void commands.execute(CommandIDs.openTrainingNotebook, named)}
        />
        <IconButton icon="more" label={trans.__('Actions for %1', training.id)} onClick={openMenu} />
      </div>
    </div>
  );
}

function timeOf(training: TrainingInfo, left: string): string {
  if (training.state === 'running') {
    return training.eta_s === null ? '' : left;
  }
  return training.ended === null ? '' : duration(training.ended - training.created);
}

function fileName(path: string): string {
  return path.split('/').pop() || NONE;
}

/** What most of its nodes are doing; of equally many, what comes later in a round. */
export function phaseOf(swarm: SwarmInfo, training: TrainingInfo): Look {
  const counts = new Map<string, { look: Look; count: number }>();
  for (const node of swarm.nodes) {
    if (training.nodes.includes(node.name) && node.state === 'training') {
      const look = nodeLook(node, training);
      counts.set(look.word, { look, count: (counts.get(look.word)?.count ?? 0) + 1 });
    }
  }
  const most = [...counts.values()].sort((a, b) => b.count - a.count)[0];
  return most?.look ?? trainingLook(training);
}

/** A wait is told with whom it is for. */
function Waits({ swarm, training }: ICardProps): JSX.Element | null {
  const { trans } = usePanel();
  const waited = new Set(
    swarm.nodes.filter(node => training.nodes.includes(node.name)).flatMap(node => node.waiting_for)
  );
  if (training.state !== 'running' || waited.size === 0) {
    return null;
  }
  const names = [...waited].sort().slice(0, 4).join(', ');
  return (
    <div className="swl-Training-waits">
      <Icon name="waiting" tone="idle" />
      {trans.__('Waiting for %1 of %2 nodes: %3', waited.size, training.nodes.length, names)}
    </div>
  );
}

/** A failure that several nodes share is told once. */
function Failures({ training, onLog }: { training: TrainingInfo; onLog(node: string): void }): JSX.Element | null {
  const { trans } = usePanel();
  const failed = new Map<string, string[]>();
  for (const [node, message] of Object.entries(training.failed).sort()) {
    failed.set(message, [...(failed.get(message) ?? []), node]);
  }
  if (training.state !== 'failed' || failed.size === 0) {
    return null;
  }
  return (
    <ul className="swl-Training-failures">
      {[...failed].slice(0, 3).map(([message, nodes]) => {
        const more = nodes.length > 4 ? ', …' : '';
        return (
          <li key={message}>
            <Icon name="failed" tone="bad" />
            <span>
              <b>{nodes.slice(0, 4).join(', ') + more}</b> {message}{' '}
              <button type="button" className="swl-Link" onClick={() => onLog(nodes[0])}>
                {trans.__('Open log of %1', nodes[0])}
              </button>
            </span>
          </li>
        );
      })}
    </ul>
  );
}

function Metric({ label, value }: { label: string; value: string }): JSX.Element {
  return (
    <div className="swl-Metric">
      <span>{label}</span>
      <b>{value}</b>
    </div>
  );
}

function LossLines({ swarm, shown }: { swarm: SwarmInfo; shown: Lines | null }): JSX.Element | null {
  const { trans } = usePanel();
  if (shown === null) {
    return null;
  }
  const places = roster(swarm);
  const label = shown.band
    ? trans.__('Loss of the merged model and the range of the nodes over %1 rounds', shown.rounds)
    : trans.__('Loss of each node and of the merged model over %1 rounds', shown.rounds);
  return (
    <svg
      className="swl-Lines"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      {shown.band && <polygon className="band" points={shown.band} />}
      {shown.lines.map(({ node, points }) => {
        const { color, dash } = lineStyle(places.get(node) ?? 0);
        return <polyline key={node} points={points} style={{ stroke: color }} strokeDasharray={dash} />;
      })}
      <polyline className="is-merged" points={shown.merged} />
    </svg>
  );
}
