import { networks } from './networks.ts';
import type { Dashboard } from './panel.ts';
import { platform } from './platform.ts';
import { stream } from './stream.ts';
import { trtCompliance } from './trt-compliance.ts';

/** By the name of their file in the chart. */
export const DASHBOARDS: Readonly<Record<string, Dashboard>> = {
  'trt-compliance': trtCompliance,
  stream,
  networks,
  platform,
};
