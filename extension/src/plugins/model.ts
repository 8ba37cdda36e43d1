/** The model: one connection for all surfaces of a browser tab. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { SwarmModel } from '../model';
import { page } from '../pacer';
import { JupyterTransport } from '../server';
import { ISwarmModel } from '../tokens';

export const model: JupyterFrontEndPlugin<ISwarmModel> = {
  id: 'swarm-lab:model',
  description: 'Provides the swarms of this user.',
  autoStart: true,
  provides: ISwarmModel,
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, translator: ITranslator | null): ISwarmModel => {
    const trans = (translator ?? nullTranslator).load('swarm_lab');
    const swarms = new SwarmModel(
      new JupyterTransport(app.serviceManager.serverSettings, trans),
      page,
      trans
    );
    swarms.start();
    return swarms;
  }
};
