/** How the output of a cell and the lab extension meet in a page: the one asks, the other fills in the answer. */

export const CELL_EVENT = 'swarm-lab:cell';

export interface CellQuestion {
  swarm: string;
  training: string;
  /** What is to be done; without, only whether it can be. */
  act?: 'open' | 'stop';
  /** Whether the server of this page knows the training. */
  known?: boolean;
}

/** Ask the lab extension; false where there is none, as in VS Code, or where its server does not know the training. */
export function askPage(question: CellQuestion): boolean {
  document.dispatchEvent(new CustomEvent(CELL_EVENT, { detail: question }));
  return question.known ?? false;
}
