/** What a command is about: what its arguments name, else what is chosen in the panel. */
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import type { NodeInfo, SwarmInfo, TrainingInfo } from '../api';
import { running } from '../states';
import type { ISwarmModel } from '../tokens';

export type Args = ReadonlyPartialJSONObject;

const named = (args: Args, key: string): string | null => {
  const value = args[key];
  return typeof value === 'string' && value ? value : null;
};

export function swarmOf(model: ISwarmModel, args: Args): SwarmInfo | null {
  const name = named(args, 'swarm') ?? model.selected;
  return name === null ? null : model.swarm(name);
}

export interface INodeOf {
  swarm: SwarmInfo;
  node: NodeInfo;
}

export function nodeOf(model: ISwarmModel, args: Args): INodeOf | null {
  const swarm = swarmOf(model, args);
  const name = named(args, 'node') ?? model.selectedNode;
  const node = swarm?.nodes.find(one => one.name === name);
  return swarm && node ? { swarm, node } : null;
}

export function trainingOf(model: ISwarmModel, args: Args): { swarm: SwarmInfo; training: TrainingInfo } | null {
  const swarm = swarmOf(model, args);
  if (swarm === null) {
    return null;
  }
  const name = named(args, 'training') ?? model.selectedTraining;
  const last = swarm.trainings[swarm.trainings.length - 1];
  const training = swarm.trainings.find(one => one.id === name) ?? running(swarm) ?? last;
  return training ? { swarm, training } : null;
}

const text = (description: string): { type: 'string'; description: string } => ({ type: 'string', description });

export const NOTHING = { args: { type: 'object', properties: {} } } as const;

export const OF_SWARM = {
  args: { type: 'object', properties: { swarm: text('Name of a swarm; else the chosen one') } }
} as const;

export const OF_NODE = {
  args: {
    type: 'object',
    properties: {
      swarm: text('Name of a swarm; else the chosen one'),
      node: text('Name of a node; else the chosen one')
    }
  }
} as const;

export const OF_TRAINING = {
  args: {
    type: 'object',
    properties: {
      swarm: text('Name of a swarm; else the chosen one'),
      training: text('Id of a training; else the chosen, the running or the last one')
    }
  }
} as const;
