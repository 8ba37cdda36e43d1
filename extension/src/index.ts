/** The plugins of the lab extension, one per surface, so that a site can switch each off. */
import { commands } from './plugins/commands';
import { form } from './plugins/form';
import { model } from './plugins/model';
import { notices } from './plugins/notices';
import { panel } from './plugins/panel';
import { running } from './plugins/running';
import { status } from './plugins/status';
import { tabs } from './plugins/tabs';

export { ISwarmModel } from './tokens';
export default [model, panel, commands, running, status, tabs, notices, form];
