/** One selection per swarm: tabs share it with each other and, for the node, with the panel. */
import type { ISwarmModel } from '../tokens';
import { Selection } from '../views';

const SELECTIONS = new WeakMap<ISwarmModel, Map<string, Selection>>();

export function selectionOf(model: ISwarmModel, swarm: string): Selection {
  const known = SELECTIONS.get(model) ?? new Map<string, Selection>();
  SELECTIONS.set(model, known);
  const found = known.get(swarm);
  if (found) {
    return found;
  }
  const selection = new Selection();
  known.set(swarm, selection);
  let node: string | null = null;
  selection.subscribe(() => {
    if (selection.node !== null && selection.node !== node) {
      model.select(swarm, { node: selection.node });
    }
    node = selection.node;
  });
  let seen = model.selected === swarm ? model.selectedNode : null;
  // Lives as long as the page: the swarm's selection outlives its tabs.
  model.changed.connect(() => {
    const chosen = model.selected === swarm ? model.selectedNode : null;
    if (chosen !== seen) {
      seen = chosen;
      if (chosen !== null) {
        selection.select({ node: chosen });
      }
    }
  });
  return selection;
}
