/** The cell that attaches a notebook to a node, and how it is carried there. */

/** What JupyterLab's notebooks take a dropped or pasted cell as. */
export const CELL_MIME = 'application/vnd.jupyter.cells';

/** Names of swarms and nodes are lower-case letters, digits and `-`: they need no quotes. */
export function attachSource(swarm: string, node: string): string {
  return [
    '%load_ext swarm_lab',
    'from swarm_lab import Swarm',
    '',
    `swarm = Swarm.attach("${swarm}")`,
    `%swarm logs ${node} --name ${swarm} --lines 20`
  ].join('\n');
}

/** As nbformat has it. */
export function codeCell(source: string): Record<string, unknown> {
  return { cell_type: 'code', source, metadata: {}, outputs: [], execution_count: null };
}
