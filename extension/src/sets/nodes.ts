/** The commands about one node. */
import { Clipboard } from '@jupyterlab/apputils';
import type { CommandRegistry } from '@lumino/commands';
import { MimeData } from '@lumino/coreutils';
import { Work } from '../actions/work';
import { attachSource, CELL_MIME, codeCell } from '../cells';
import { CommandIDs } from '../commands';
import { labIcon } from '../labIcons';
import { about } from './about';
import { type INodeOf, nodeOf, OF_NODE } from './targets';
import type { ISet } from './index';

export function addNodeCommands(commands: CommandRegistry, set: ISet): void {
  addLifeCommands(commands, set);
  addFaultCommands(commands, set);
  addCellCommands(commands, set);
}

type Verb = 'restartNode' | 'removeNode' | 'pauseNode' | 'slowNode' | 'resumeNode' | 'killNode';

/** What is done is loaded when it is done first. */
function doing(work: Work): (verb: Verb) => (chosen: INodeOf) => Promise<void> {
  return verb =>
    async ({ swarm, node }) =>
      (await import('../actions/nodes'))[verb](work, swarm.swarm, node.name);
}

function addLifeCommands(commands: CommandRegistry, { model, trans }: ISet): void {
  const onChosen = about(trans, args => nodeOf(model, args));
  const does = doing(new Work(model, trans));
  commands.addCommand(CommandIDs.restartNode, {
    label: trans.__('Restart Node'),
    caption: trans.__('Stop the node and start it again'),
    icon: labIcon('refresh'),
    describedBy: OF_NODE,
    ...onChosen(() => true, does('restartNode'))
  });
  commands.addCommand(CommandIDs.removeNode, {
    label: trans.__('Remove Node…'),
    caption: trans.__('Stop a learning node for good'),
    icon: labIcon('minus'),
    describedBy: OF_NODE,
    ...onChosen(({ node }) => node.kind === 'sl', does('removeNode'))
  });
  commands.addCommand(CommandIDs.copyId, {
    label: trans.__('Copy SPIFFE ID'),
    caption: trans.__('Copy the name in the identity of the node'),
    icon: labIcon('copy'),
    describedBy: OF_NODE,
    ...onChosen(({ node }) => Boolean(node.spiffe_id), ({ node }) => node.spiffe_id && Clipboard.copyToSystem(node.spiffe_id))
  });
}

/** What a test may want to be done to a node. */
function addFaultCommands(commands: CommandRegistry, { model, trans }: ISet): void {
  const onChosen = about(trans, args => nodeOf(model, args));
  const does = doing(new Work(model, trans));
  commands.addCommand(CommandIDs.pauseNode, {
    label: trans.__('Pause Node…'),
    caption: trans.__('Freeze the processes of the node for some seconds'),
    describedBy: OF_NODE,
    ...onChosen(({ node }) => Boolean(node.pid), does('pauseNode'))
  });
  commands.addCommand(CommandIDs.slowNode, {
    label: trans.__('Slow Node…'),
    caption: trans.__('Hold the processes of the node back for a while'),
    describedBy: OF_NODE,
    ...onChosen(({ node }) => Boolean(node.pid), does('slowNode'))
  });
  commands.addCommand(CommandIDs.resumeNode, {
    label: trans.__('Let Node Go On'),
    caption: trans.__('End what holds the node back'),
    describedBy: OF_NODE,
    ...onChosen(({ node }) => node.faults.length > 0, does('resumeNode'))
  });
  commands.addCommand(CommandIDs.killNode, {
    label: trans.__('Kill Node'),
    caption: trans.__('End the processes of the node at once; the supervisor starts it again'),
    describedBy: OF_NODE,
    ...onChosen(({ node }) => Boolean(node.pid), does('killNode'))
  });
}

function addCellCommands(commands: CommandRegistry, { model, trans, insertCell }: ISet): void {
  const onChosen = about(trans, args => nodeOf(model, args));
  commands.addCommand(CommandIDs.attachCell, {
    label: trans.__('Insert a Cell That Attaches'),
    caption: trans.__('Insert a cell that attaches to the node below the active cell of the notebook'),
    icon: labIcon('notebook'),
    describedBy: OF_NODE,
    ...onChosen(() => insertCell?.(null) === true, ({ swarm, node }) => insertCell?.(attachSource(swarm.swarm, node.name)))
  });
  commands.addCommand(CommandIDs.copyCell, {
    label: trans.__('Copy a Cell That Attaches'),
    caption: trans.__('Copy a cell that attaches to the node, to be pasted into a notebook'),
    icon: labIcon('copy'),
    describedBy: OF_NODE,
    ...onChosen(() => true, ({ swarm, node }) => {
      const source = attachSource(swarm.swarm, node.name);
      const data = new MimeData();
      data.setData(CELL_MIME, [codeCell(source)]);
      data.setData('text/plain', source);
      Clipboard.setInstance(data);
      Clipboard.copyToSystem(source);
    })
  });
}
