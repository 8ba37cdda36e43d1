/** The last loads of each node, for lines as small as a word. */
import type { Load, SwarmInfo } from './api';

const KEPT = 20;
const EVERY_MS = 1000;

export class Loads {
  /** Take the loads of a swarm; more often than once a second they are passed over. */
  record(swarm: SwarmInfo, now: number): void {
    if (now - (this._recorded.get(swarm.swarm) ?? -EVERY_MS) < EVERY_MS) {
      return;
    }
    this._recorded.set(swarm.swarm, now);
    const nodes = new Map<string, Load[]>();
    const before = this._loads.get(swarm.swarm);
    for (const node of swarm.nodes) {
      if (node.load !== null) {
        nodes.set(node.name, [...(before?.get(node.name) ?? []), node.load].slice(-KEPT));
      }
    }
    this._loads.set(swarm.swarm, nodes);
  }

  /** Oldest first. */
  of(swarm: string, node: string): readonly Load[] {
    return this._loads.get(swarm)?.get(node) ?? [];
  }

  forget(swarm: string): void {
    this._loads.delete(swarm);
    this._recorded.delete(swarm);
  }

  private _loads = new Map<string, Map<string, Load[]>>();
  private _recorded = new Map<string, number>();
}
