/** The side panel. */
import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IMovableSectionRegistry } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { Work } from '../actions/work';
import { PANEL_ID } from '../commands';
import { SwarmPanel } from '../panel';
import { ISwarmModel } from '../tokens';

export const panel: JupyterFrontEndPlugin<void> = {
  id: 'swarm-lab:panel',
  description: 'Shows the swarms in a side panel.',
  autoStart: true,
  requires: [ISwarmModel],
  optional: [ILayoutRestorer, IMovableSectionRegistry, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    model: ISwarmModel,
    restorer: ILayoutRestorer | null,
    movable: IMovableSectionRegistry | null,
    translator: ITranslator | null
  ): void => {
    const used = translator ?? nullTranslator;
    const trans = used.load('swarm_lab');
    const work = new Work(model, trans);
    const widget = new SwarmPanel({ model, commands: app.commands, trans, work }, used);
    restorer?.add(widget, PANEL_ID);
    app.shell.add(widget, 'left', { rank: 600, type: 'Swarms' });
    movable?.registerSource('swarm-lab:panel', trans.__('Swarms'), widget);
  }
};
