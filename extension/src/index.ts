/** The plugins of the lab extension, one per surface, so that a site can switch each off. */
import { panel } from './plugins/panel';

export default [panel];
