import { type Dashboard, of, ofNode } from './panel.ts';

export const platform: Dashboard = {
  uid: 'mdr-platform',
  title: 'MDR: Platform',
  description: 'The processes themselves: threads, processor, memory, restoring of tables.',
  from: 'now-6h',
  variables: [],
  rows: [
    {
      title: 'Processes',
      panels: [
        {
          kind: 'stat',
          title: 'Ready',
          description: 'Processes of each service that can take work.',
          queries: [{ expr: `sum by (component) (${of('mdr_ready')})`, legend: '{{component}}' }],
          unit: 'short',
          width: 12,
        },
        {
          kind: 'stat',
          title: 'Versions',
          description: 'Processes by version of the product.',
          queries: [
            { expr: `count by (version, node) (${of('mdr_build_info')})`, legend: '{{version}}, Node {{node}}' },
          ],
          unit: 'short',
          width: 12,
        },
        {
          kind: 'timeseries',
          title: 'Processor',
          description: 'Cores in use, all threads.',
          queries: [
            {
              expr: `sum by (component) (rate(${ofNode('process_cpu_seconds_total')}[$__rate_interval]))`,
              legend: '{{component}}',
            },
          ],
          unit: 'short',
          width: 8,
        },
        {
          kind: 'timeseries',
          title: 'Memory',
          description: 'Of the processes of a service together.',
          queries: [
            { expr: `sum by (component) (${ofNode('process_resident_memory_bytes')})`, legend: '{{component}}' },
          ],
          unit: 'bytes',
          width: 8,
        },
        {
          kind: 'timeseries',
          title: 'Event loop, 99 %',
          description: 'How late the main thread comes to what is due. On-demand requests are decided there.',
          queries: [
            { expr: `max by (component) (${ofNode('nodejs_eventloop_lag_p99_seconds')})`, legend: '{{component}}' },
          ],
          unit: 's',
          width: 8,
          bounds: { amber: 0.1, red: 1 },
        },
      ],
    },
    {
      title: 'Pools',
      panels: [
        {
          kind: 'timeseries',
          title: 'Worker threads in use',
          description: 'Part of their time.',
          queries: [
            {
              expr: `sum by (component) (rate(${of('mdr_pool_busy_seconds_total')}[$__rate_interval])) / (sum by (component) (${of('mdr_pool_threads')}) > 0)`,
              legend: '{{component}}',
            },
          ],
          unit: 'percentunit',
          width: 8,
          bounds: { amber: 0.8, red: 0.95 },
        },
        {
          kind: 'timeseries',
          title: 'Tasks waiting for a thread',
          description: 'By service.',
          queries: [{ expr: `sum by (component) (${of('mdr_pool_waiting_tasks')})`, legend: '{{component}}' }],
          unit: 'short',
          width: 8,
        },
        {
          kind: 'timeseries',
          title: 'Tasks done',
          description: 'A task is one or more record batches.',
          queries: [
            {
              expr: `sum by (component) (rate(${of('mdr_pool_tasks_total')}[$__rate_interval])) > 0`,
              legend: '{{component}}',
            },
          ],
          unit: 'reqps',
          width: 8,
        },
      ],
    },
    {
      title: 'Tables',
      panels: [
        {
          kind: 'timeseries',
          title: 'Restored',
          description: 'Part of what lay in compacted topics that is in the tables. A service is ready at 1.',
          queries: [
            {
              expr: `sum by (component, topic) (${of('mdr_restored_records')}) / (sum by (component, topic) (${of('mdr_restore_records')}) > 0)`,
              legend: '{{component}}, {{topic}}',
            },
          ],
          unit: 'percentunit',
          width: 8,
          runbook: 'MdrRestoreStuck',
        },
        {
          kind: 'timeseries',
          title: 'Changes not in the tables yet',
          description: 'Records of compacted topics, by offsets.',
          queries: [
            { expr: `sum by (component, topic) (${of('mdr_table_lag_records')})`, legend: '{{component}}, {{topic}}' },
          ],
          unit: 'short',
          width: 8,
          runbook: 'MdrRestoreStuck',
        },
        {
          kind: 'timeseries',
          title: 'Memory of the registration tables',
          description: 'All processes together.',
          queries: [
            { expr: `sum(${of('mdr_access_table_bytes')})`, legend: 'access-control' },
            { expr: `sum(${of('mdr_registration_table_bytes')})`, legend: 'registration' },
          ],
          unit: 'bytes',
          width: 8,
        },
        {
          kind: 'stat',
          title: 'MPANs and schedules',
          description: 'In the tables of access control and of the scheduler.',
          queries: [
            { expr: `sum(${of('mdr_access_mpans')})`, legend: 'MPANs' },
            { expr: `sum(${of('mdr_schedules')})`, legend: 'schedules' },
          ],
          unit: 'short',
          width: 8,
        },
      ],
    },
  ],
};
