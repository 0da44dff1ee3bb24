import { BarChart } from 'echarts/charts'
import { GridComponent, TitleComponent } from 'echarts/components'
import * as echarts from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'
import { type Results, rows } from './report.ts'
import type { Measure } from './workloads.ts'

echarts.use([BarChart, GridComponent, TitleComponent, SVGRenderer])

const LINE = 24

/** Draws one bar per contestant as SVG, the smallest figure on top. */
export function chart(measure: Measure, results: Results): string {
  const bars = rows(measure, results)
    .flatMap(({ name, figure }) => (figure === undefined ? [] : [{ name, figure }]))
    .toSorted((a, b) => b.figure - a.figure)
  const surface = echarts.init(null, null, { renderer: 'svg', ssr: true, width: 640, height: bars.length * LINE + 80 })
  surface.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    title: {
      text: measure.title,
      subtext: `${measure.unit}, less is better`,
      left: 12,
      top: 8,
      textStyle: { fontSize: 15 },
    },
    grid: { left: 190, right: 70, top: 64, bottom: 8 },
    xAxis: { type: 'value', show: false },
    yAxis: {
      type: 'category',
      data: bars.map(({ name }) => name),
      axisTick: { show: false },
      axisLine: { show: false },
      axisLabel: { color: '#333333' },
    },
    series: [
      {
        type: 'bar',
        barWidth: 15,
        data: bars.map(({ name, figure }) => ({
          value: figure,
          itemStyle: { color: name.startsWith('ws-tunnel') ? '#0b6bcb' : '#a9b4c0' },
        })),
        label: {
          show: true,
          position: 'right',
          color: '#333333',
          formatter: ({ value }: { value?: unknown }) =>
            Number(value).toLocaleString('en', { maximumFractionDigits: Number(value) < 100 ? 1 : 0 }),
        },
      },
    ],
  })
  const svg = surface.renderToSVGString()
  surface.dispose()
  return `${svg}\n`
}
