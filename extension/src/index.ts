/** The plugins of the lab extension, one per surface, so that a site can switch each off. */
import { model } from './plugins/model';
import { panel } from './plugins/panel';

export { ISwarmModel } from './tokens';
export default [model, panel];
