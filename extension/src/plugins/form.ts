/** The tab for a new swarm. */
import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { type MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import { IEditorServices } from '@jupyterlab/codeeditor';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { Work } from '../actions/work';
import { CommandIDs } from '../commands';
import { labIcon } from '../labIcons';
import { NOTHING } from '../sets/targets';
import { ISwarmModel } from '../tokens';

export const form: JupyterFrontEndPlugin<void> = {
  id: 'swarm-lab:form',
  description: 'Opens the tab in which a new swarm is described and started.',
  autoStart: true,
  requires: [ISwarmModel, IEditorServices],
  optional: [ILayoutRestorer, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    model: ISwarmModel,
    editors: IEditorServices,
    restorer: ILayoutRestorer | null,
    translator: ITranslator | null
  ): void => {
    const used = translator ?? nullTranslator;
    const trans = used.load('swarm_lab');
    const tracker = new WidgetTracker<MainAreaWidget>({ namespace: 'swarm-lab-new-swarm' });
    app.commands.addCommand(CommandIDs.newSwarm, {
      label: trans.__('New Swarm'),
      caption: trans.__('Describe a swarm in a form or in YAML and start it'),
      icon: labIcon('swarm'),
      describedBy: NOTHING,
      execute: async () => {
        const open = tracker.find(tab => !tab.isDisposed);
        if (open !== undefined) {
          app.shell.activateById(open.id);
          return open;
        }
        const { newSwarmTab } = await import('../form');
        const tab = newSwarmTab({ work: new Work(model, trans), trans, translator: used, editors });
        void tracker.add(tab);
        app.shell.add(tab, 'main');
        app.shell.activateById(tab.id);
        return tab;
      }
    });
    void restorer?.restore(tracker, { command: CommandIDs.newSwarm, name: () => 'new-swarm' });
  }
};
