//! Which layer of a drawing a node belongs to, and what to do where there is no first one: an arrow that closes a circle is
//! turned round, and then there is.

/// How many things get a place: nodes, and the bends of edges. Costs no more than reading the edges.
pub fn places(nodes: usize, edges: &[(usize, usize)]) -> usize {
    let downwards = downwards(nodes, edges);
    let layer = layers_of(nodes, &downwards);
    let bends = |&(from, to): &(usize, usize)| (layer[to] - layer[from]).saturating_sub(1);
    nodes + downwards.iter().map(bends).sum::<usize>()
}

/// The edges without circles: one that leads back to where the search came from is turned round.
pub fn downwards(count: usize, edges: &[(usize, usize)]) -> Vec<(usize, usize)> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        Never,
        OnTheWay,
        Done,
    }
    let mut from = vec![Vec::new(); count];
    for (nth, edge) in edges.iter().enumerate() {
        from[edge.0].push(nth);
    }
    let (mut seen, mut straight) = (vec![Seen::Never; count], edges.to_vec());
    let mut way: Vec<(usize, usize)> = Vec::new();
    for start in 0..count {
        if seen[start] != Seen::Never {
            continue;
        }
        seen[start] = Seen::OnTheWay;
        way.push((start, 0));
        while let Some((at, next)) = way.last_mut() {
            let Some(&nth) = from[*at].get(*next) else {
                seen[*at] = Seen::Done;
                way.pop();
                continue;
            };
            *next += 1;
            let to = edges[nth].1;
            match seen[to] {
                Seen::Never => {
                    seen[to] = Seen::OnTheWay;
                    way.push((to, 0));
                }
                Seen::OnTheWay => straight[nth] = (to, edges[nth].0),
                Seen::Done => {}
            }
        }
    }
    straight
}

/// Length of the longest way to each node, along edges without circles. A node with nothing before it stands right above the first one after it.
pub fn layers_of(count: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let (mut below, mut open) = (vec![Vec::new(); count], vec![0usize; count]);
    for &(from, to) in edges.iter().filter(|(from, to)| from != to) {
        below[from].push(to);
        open[to] += 1;
    }
    let mut layer = vec![0; count];
    let roots: Vec<usize> = (0..count).filter(|&at| open[at] == 0).collect();
    let mut ready = roots.clone();
    while let Some(at) = ready.pop() {
        for &to in &below[at] {
            layer[to] = layer[to].max(layer[at] + 1);
            open[to] -= 1;
            if open[to] == 0 {
                ready.push(to);
            }
        }
    }
    for root in roots {
        layer[root] = below[root].iter().map(|&to| layer[to] - 1).min().unwrap_or(0);
    }
    layer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_without_making_them() {
        assert_eq!(places(3, &[(0, 1), (1, 2), (0, 2)]), 4);
        assert_eq!(places(3, &[(0, 1), (1, 2), (2, 0), (1, 1)]), 4);
        assert_eq!(places(0, &[]), 0);
    }

    #[test]
    fn only_arrows_that_close_a_circle_are_turned_round() {
        let edges = [(0, 1), (1, 2), (2, 0), (0, 2), (3, 3), (3, 1)];
        assert_eq!(downwards(4, &edges), [(0, 1), (1, 2), (0, 2), (0, 2), (3, 3), (3, 1)]);
    }
}
