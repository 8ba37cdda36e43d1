/** The views, written once: plain DOM, SVG and uPlot, for the panel, the tabs, a cell and a Voila page. */
export { LineChart, type IChartOptions } from './chart';
export { TrainingHead, whereIt } from './head';
export { type ILogSource, LogView } from './log';
export { type INodes, NodeTable } from './nodes';
export { placesOf } from './places';
export { ProgramSays } from './output';
export { standingOf } from './standing';
export { type ISelected, Selection } from './selection';
export { Timeline } from './timeline';
export { type ITopology, Topology } from './topology';
export { type IActions, TrainingView } from './view';
