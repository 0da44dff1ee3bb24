import Plot from './uplot.js'

const HEIGHT = 56

const color = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name)

/** One line over the last minutes; fills the width of its parent. */
export class Line {
  readonly #plot: InstanceType<typeof Plot>
  #data: [number[], number[]] = [[], []]

  constructor(parent: HTMLElement, height: number = HEIGHT) {
    const width = (): number => Math.max(1, Math.floor(parent.clientWidth))
    this.#plot = new Plot(
      {
        width: width(),
        height,
        padding: [4, 0, 1, 0],
        legend: { show: false },
        cursor: { show: false },
        axes: [{ show: false }, { show: false }],
        scales: { y: { range: (_plot, _low, high) => [0, Math.max(high ?? 0, 1)] } },
        series: [
          {},
          { stroke: () => color('--accent'), fill: () => color('--accent-wash'), width: 1.5, points: { show: false } },
        ],
      },
      this.#data,
      parent,
    )
    new ResizeObserver(() => this.#plot.setSize({ width: width(), height })).observe(parent)
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#plot.redraw())
  }

  show(times: number[], values: number[]): void {
    this.#data = [times, values]
    this.#plot.setData(this.#data)
  }
}
