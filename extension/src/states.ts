/** Words, icons and tones of what a node, a training or a swarm is doing; the same on every surface. */
import type { NodeInfo, SwarmInfo, TrainingInfo } from './api';
import type { IconName } from './icons';

export type { Words } from './words';

/** Which of the state colours an icon takes; words are always in ink. */
export type Tone = 'ok' | 'busy' | 'exchange' | 'warn' | 'bad' | 'idle';

export interface Look {
  /** English; translated where it is shown. */
  word: string;
  icon: IconName;
  tone: Tone;
}

const look = (word: string, icon: IconName, tone: Tone): Look => ({ word, icon, tone });

const READY = look('Ready', 'ready', 'ok');
const TRAINING = look('Training', 'training', 'busy');
const WAITING = look('Waiting', 'waiting', 'idle');
const EXCHANGING = look('Exchanging', 'exchanging', 'exchange');
const STARTING = look('Starting', 'starting', 'busy');
const RESTARTING = look('Restarting', 'restarting', 'warn');
const LOST = look('Lost', 'lost', 'bad');
const FAILED = look('Failed', 'failed', 'bad');
const STOPPED = look('Stopped', 'stopped', 'idle');
const FINISHED = look('Finished', 'finished', 'ok');
const DEGRADED = look('Degraded', 'warn', 'warn');

/** The phases of a round, as nodes tell them. */
export const PHASES: Readonly<Record<string, Look>> = {
  TRAINING,
  WAITING_FOR_PEERS: WAITING,
  CHECKED_IN: look('Checked in', 'committed', 'idle'),
  PLANNED: look('Planned', 'waiting', 'idle'),
  EXCHANGING,
  MERGED: look('Merged', 'merged', 'exchange'),
  COMMITTED: look('Committed', 'committed', 'ok'),
  FINISHED,
  FAILED
};

const NODES: Readonly<Record<string, Look>> = {
  starting: STARTING,
  waiting: WAITING,
  ready: READY,
  training: TRAINING,
  degraded: DEGRADED,
  failed: FAILED,
  stopped: STOPPED
};

const TRAININGS: Readonly<Record<string, Look>> = {
  queued: look('Waiting', 'waiting', 'idle'),
  running: look('Running', 'training', 'busy'),
  finished: FINISHED,
  failed: FAILED,
  stopped: STOPPED
};

const SWARMS: Readonly<Record<string, Look>> = {
  ...NODES,
  training: look('Running', 'training', 'busy'),
  stopping: look('Stopping', 'starting', 'idle')
};

const unknown = (state: string): Look => look(state, 'info', 'idle');

/** The training that a swarm is at, if one runs. */
export function running(swarm: SwarmInfo): TrainingInfo | null {
  return swarm.trainings.findLast(training => training.state === 'running') ?? null;
}

/** What a node is doing. `training` is the running one: a node that its peers do not hear is lost, whatever it says. */
export function nodeLook(node: NodeInfo, training: TrainingInfo | null): Look {
  if (node.state === 'starting' && node.message) {
    return RESTARTING;
  }
  if (training !== null && node.name in training.lost) {
    return LOST;
  }
  if (node.state === 'training' && node.phase !== null) {
    return PHASES[node.phase] ?? TRAINING;
  }
  return NODES[node.state] ?? unknown(node.state);
}

export function trainingLook(training: TrainingInfo): Look {
  return TRAININGS[training.state] ?? unknown(training.state);
}

export function swarmLook(swarm: SwarmInfo): Look {
  const training = running(swarm);
  if (training !== null && swarm.state !== 'degraded' && swarm.state !== 'stopped') {
    return SWARMS.training;
  }
  return SWARMS[swarm.state] ?? unknown(swarm.state);
}

/** How a node's line is drawn: four hues times three dashes; `index` is its place in the roster. */
export function lineStyle(index: number): { color: string; dash: string } {
  return {
    color: `var(--swl-line-${(index % 4) + 1})`,
    dash: ['', '6 3', '2 2'][Math.floor(index / 4) % 3]
  };
}

/** The place in the roster of each SL node; it never changes. */
export function roster(swarm: SwarmInfo): Map<string, number> {
  const learning = swarm.nodes.filter(node => node.kind === 'sl');
  return new Map(learning.map((node, index) => [node.name, index]));
}
