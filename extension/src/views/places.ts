/** Which line belongs to which node: its place in the roster, which never changes. */
import type { SwarmInfo, TrainingDetail } from '../api';
import { roster } from '../states';

/** More lines than these cannot be told apart. */
export const LINES_APART = 12;

/** By node its place: in the swarm where that is known, else in the training. */
export function placesOf(training: TrainingDetail | null, swarm: SwarmInfo | null = null): Map<string, number> {
  const places = swarm ? roster(swarm) : new Map<string, number>();
  for (const node of training?.nodes ?? []) {
    if (!places.has(node)) {
      places.set(node, places.size);
    }
  }
  return places;
}
