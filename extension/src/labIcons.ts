/** Our icons in the form that JupyterLab's tabs, menus, buttons and launcher take. */
import { LabIcon } from '@jupyterlab/ui-components';
import { ICONS, type IconName } from './icons';

const made = new Map<IconName, LabIcon>();

/** The icon for JupyterLab; strokes and fills follow the theme by its `jp-icon*` classes. */
export function labIcon(name: IconName): LabIcon {
  let icon = made.get(name);
  if (icon === undefined) {
    const inside = ICONS[name]
      .replaceAll('class="f"', 'class="jp-icon3" fill="#616161" stroke="none"')
      .replaceAll('class="x"', 'class="jp-icon3" stroke="#616161"');
    const svgstr =
      '<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 16 16">' +
      '<g class="jp-icon3-stroke swl-icon-stroke" fill="none" stroke="#616161" stroke-width="1.5" ' +
      `stroke-linecap="round" stroke-linejoin="round">${inside}</g></svg>`;
    icon = new LabIcon({ name: `swarm-lab:${name}`, svgstr });
    made.set(name, icon);
  }
  return icon;
}

export const swarmIcon = labIcon('swarm');
